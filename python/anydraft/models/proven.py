"""What tests/support/fidelity.py has shown of transformers' own classes; docs/models.md is the table."""

_NAMES = """
    AXK1ForCausalLM AXK2ForCausalLM AfmoeForCausalLM ApertusForCausalLM ArceeForCausalLM
    AriaTextForCausalLM BeamForCausalLM BioGptForCausalLM BitNetForCausalLM BloomForCausalLM
    CTRLLMHeadModel CodeGenForCausalLM Cohere2ForCausalLM Cohere2MoeForCausalLM CohereCompassForCausalLM
    CohereForCausalLM CwmForCausalLM DbrxForCausalLM DeepseekV2ForCausalLM DeepseekV32ForCausalLM
    DeepseekV3ForCausalLM DiffLlamaForCausalLM Dots1ForCausalLM Dots3NoteForCausalLM Emu3ForCausalLM
    Ernie4_5ForCausalLM Ernie4_5_MoeForCausalLM Exaone4ForCausalLM ExaoneMoeForCausalLM FalconForCausalLM
    FlexOlmoForCausalLM FlintForCausalLM FuyuForCausalLM GPT2LMHeadModel GPTBigCodeForCausalLM
    GPTJForCausalLM GPTNeoForCausalLM GPTNeoXForCausalLM GPTNeoXJapaneseForCausalLM Gemma2ForCausalLM
    Gemma3ForCausalLM Gemma3ForConditionalGeneration Gemma3nForCausalLM Gemma4ForCausalLM
    Gemma4ForConditionalGeneration Gemma4UnifiedForCausalLM Gemma4UnifiedForConditionalGeneration
    GemmaForCausalLM Glm4ForCausalLM Glm4MoeForCausalLM Glm4MoeLiteForCausalLM GlmForCausalLM
    GlmMoeDsaForCausalLM GotOcr2ForConditionalGeneration GptOssForCausalLM GraniteForCausalLM
    GraniteMoeForCausalLM GraniteMoeSWAForCausalLM GraniteMoeSharedForCausalLM GraniteSWAForCausalLM
    HYV3ForCausalLM HYV4ForCausalLM HeliumForCausalLM HrmTextForCausalLM HunYuanDenseV1ForCausalLM
    HunYuanMoEV1ForCausalLM HyperCLOVAXForCausalLM Jais2ForCausalLM JetMoeForCausalLM Kolibri1ForCausalLM
    LagunaForCausalLM Lfm2ForCausalLM Llama4ForCausalLM LlamaForCausalLM LongcatFlashForCausalLM
    MellumForCausalLM MiMoV2FlashForCausalLM MiniCPM3ForCausalLM MiniMaxM2ForCausalLM
    MiniMaxM3VLForCausalLM Ministral3ForCausalLM MinistralForCausalLM MistralForCausalLM
    MixtralForCausalLM MllamaForCausalLM ModernBertDecoderForCausalLM
    MossTranscribeDiarizeForConditionalGeneration MptForCausalLM NanoChatForCausalLM NemotronForCausalLM
    OPTForCausalLM Olmo2ForCausalLM Olmo3ForCausalLM OlmoForCausalLM OlmoeForCausalLM PersimmonForCausalLM
    Phi3ForCausalLM Phi4MultimodalForCausalLM PhiForCausalLM PhimoeForCausalLM Qwen2ForCausalLM
    Qwen2MoeForCausalLM Qwen3ForCausalLM Qwen3MoeForCausalLM SeedOssForCausalLM SmolLM3ForCausalLM
    SolarOpenForCausalLM StableLmForCausalLM Starcoder2ForCausalLM VaultGemmaForCausalLM XGLMForCausalLM
    YoutuForCausalLM
"""
PROVEN = frozenset(_NAMES.split())
"""They read blocks, crops, batches and padded rows as they read tokens one by one."""

_PICTURES = """
    Gemma3ForConditionalGeneration Glm4vForConditionalGeneration InternVLForConditionalGeneration
    Llama4ForConditionalGeneration LlavaForConditionalGeneration Mistral3ForConditionalGeneration
    Qwen2VLForConditionalGeneration Qwen2_5_VLForConditionalGeneration Qwen3VLForConditionalGeneration
    Qwen3VLMoeForConditionalGeneration SmolVLMForConditionalGeneration VoxtralForConditionalGeneration
"""
PICTURES = frozenset(_PICTURES.split())
"""They read blocks behind pictures or sounds as they read tokens one by one (tests/support/pictures.py)."""

ALONE = frozenset({"GPTNeoForCausalLM"})
"""They do so row by row: their own masks take the new tokens to be the last of the longest row."""

UNLIKE = {
    "DogeForCausalLM": "which keeps the keys that look largest and chooses among equal ones by rounding",
    "MoshiForCausalLM": "whose masks leave out the window that its cache keeps to, so that a block sees more "
    "than one token does",
}
"""They do not, in a way that a short trial need not show."""
