"""Two chat templates that differ."""

TEMPLATES = (
    "{{ bos_token }}{% for m in messages %}{{ m.role[0] }}:{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}",
    "{% for m in messages %}[{{ m.role[0] }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[a] {% endif %}",
)
