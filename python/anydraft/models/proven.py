"""What tests/support/fidelity.py has shown of transformers' own classes; docs/models.md is the table."""

_NAMES = """
    AXK1ForCausalLM AXK2ForCausalLM AfmoeForCausalLM ApertusForCausalLM ArceeForCausalLM
    AriaTextForCausalLM BailingHybridForCausalLM BambaForCausalLM BeamForCausalLM BioGptForCausalLM
    BitNetForCausalLM BloomForCausalLM CTRLLMHeadModel CodeGenForCausalLM Cohere2ForCausalLM
    Cohere2MoeForCausalLM CohereCompassForCausalLM CohereForCausalLM CwmForCausalLM DbrxForCausalLM
    DeepseekV2ForCausalLM DeepseekV32ForCausalLM DeepseekV3ForCausalLM DiffLlamaForCausalLM
    Dots1ForCausalLM Dots3NoteForCausalLM Emu3ForCausalLM Ernie4_5ForCausalLM Ernie4_5_MoeForCausalLM
    Exaone4ForCausalLM ExaoneMoeForCausalLM FalconForCausalLM FalconH1ForCausalLM FalconMambaForCausalLM
    FlexOlmoForCausalLM FlintForCausalLM FuyuForCausalLM GPT2LMHeadModel GPTBigCodeForCausalLM
    GPTJForCausalLM GPTNeoForCausalLM GPTNeoXForCausalLM GPTNeoXJapaneseForCausalLM Gemma2ForCausalLM
    Gemma3ForCausalLM Gemma3ForConditionalGeneration Gemma3nForCausalLM Gemma4ForCausalLM
    Gemma4ForConditionalGeneration Gemma4UnifiedForCausalLM Gemma4UnifiedForConditionalGeneration
    GemmaForCausalLM Glm4ForCausalLM Glm4MoeForCausalLM Glm4MoeLiteForCausalLM GlmForCausalLM
    GlmMoeDsaForCausalLM GotOcr2ForConditionalGeneration GptOssForCausalLM GraniteForCausalLM
    GraniteMoeForCausalLM GraniteMoeHybridForCausalLM GraniteMoeSWAForCausalLM GraniteMoeSharedForCausalLM
    GraniteSWAForCausalLM HYV3ForCausalLM HYV4ForCausalLM HeliumForCausalLM HrmTextForCausalLM
    HunYuanDenseV1ForCausalLM HunYuanMoEV1ForCausalLM HyperCLOVAXForCausalLM Inkling2ForCausalLM
    InklingForCausalLM Jais2ForCausalLM JambaForCausalLM JetMoeForCausalLM KimiLinearForCausalLM
    Kolibri1ForCausalLM LagunaForCausalLM Lfm2ForCausalLM Lfm2MoeForCausalLM Lfm3ForCausalLM
    Llama4ForCausalLM LlamaForCausalLM LongcatFlashForCausalLM Mamba2ForCausalLM MambaForCausalLM
    MellumForCausalLM MiMoV2FlashForCausalLM MiniCPM3ForCausalLM MiniMaxForCausalLM MiniMaxM2ForCausalLM
    MiniMaxM3VLForCausalLM Ministral3ForCausalLM MinistralForCausalLM MistralForCausalLM
    MixtralForCausalLM MllamaForCausalLM ModernBertDecoderForCausalLM
    MossTranscribeDiarizeForConditionalGeneration MptForCausalLM NanoChatForCausalLM NemotronForCausalLM
    NemotronHForCausalLM OPTForCausalLM Olmo2ForCausalLM Olmo3ForCausalLM OlmoForCausalLM
    OlmoHybridForCausalLM OlmoeForCausalLM PersimmonForCausalLM Phi3ForCausalLM Phi4MultimodalForCausalLM
    PhiForCausalLM PhimoeForCausalLM Qwen2ForCausalLM Qwen2MoeForCausalLM Qwen3ForCausalLM
    Qwen3MoeForCausalLM Qwen3NextForCausalLM Qwen3_5MoeForCausalLM Qwen4ExpForCausalLM SeedOssForCausalLM
    SmolLM3ForCausalLM SolarOpenForCausalLM StableLmForCausalLM Starcoder2ForCausalLM
    VaultGemmaForCausalLM XGLMForCausalLM YoutuForCausalLM Zamba2ForCausalLM ZambaForCausalLM
    ZayaForCausalLM
"""
PROVEN = frozenset(_NAMES.split())
"""They read blocks, crops, batches and padded rows as they read tokens one by one."""

_STATEFUL = """
    BailingHybridForCausalLM BambaForCausalLM DeepseekV4ForCausalLM FalconH1ForCausalLM
    FalconMambaForCausalLM GraniteMoeHybridForCausalLM Inkling2ForCausalLM InklingForCausalLM
    JambaForCausalLM KimiLinearForCausalLM Mamba2ForCausalLM MambaForCausalLM MiniMaxForCausalLM
    NemotronHForCausalLM OlmoHybridForCausalLM Qwen3NextForCausalLM Qwen3_5ForCausalLM
    Qwen3_5MoeForCausalLM Qwen4ExpForCausalLM Zamba2ForCausalLM ZambaForCausalLM ZayaForCausalLM
    xLSTMForCausalLM
"""
STATEFUL = frozenset(_STATEFUL.split())
"""Classes that keep states beside keys and values, or instead of them."""

CONVOLUTIONAL = frozenset({"Lfm2ForCausalLM", "Lfm2MoeForCausalLM", "Lfm3ForCausalLM"})
"""Those whose states are the last inputs of convolutions."""

SINGLY = frozenset(
    {
        "FalconMambaForCausalLM",
        "JambaForCausalLM",
        "MambaForCausalLM",
        "NemotronHForCausalLM",
        "Zamba2ForCausalLM",
        "ZambaForCausalLM",
    }
)
"""Those that read one token a pass behind a state."""

ALONE = frozenset({"GPTNeoForCausalLM"})
"""They do so row by row: their own masks take the new tokens to be the last of the longest row."""

UNLIKE = {
    "DogeForCausalLM": "which keeps the keys that look largest and chooses among equal ones by rounding",
    "RwkvForCausalLM": "whose generate reads the rows of a batch otherwise than each by itself",
    "MoshiForCausalLM": "whose masks leave out the window that its cache keeps to, so that a block sees more "
    "than one token does",
}
"""They do not, in a way that a short trial need not show."""
