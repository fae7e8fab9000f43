"""What tests/support/fidelity.py has shown of transformers' own classes; docs/models.md is the table."""

_NAMES = """
    AXK1ForCausalLM AXK2ForCausalLM AfmoeForCausalLM ApertusForCausalLM ArceeForCausalLM
    AriaForConditionalGeneration AriaTextForCausalLM AyaVisionForConditionalGeneration
    BailingHybridForCausalLM BambaForCausalLM BeamForCausalLM BioGptForCausalLM BitNetForCausalLM
    BloomForCausalLM CTRLLMHeadModel ChameleonForConditionalGeneration CodeGenForCausalLM
    Cohere2ForCausalLM Cohere2MoeForCausalLM Cohere2VisionForConditionalGeneration
    CohereCompassForCausalLM CohereCompassForConditionalGeneration CohereForCausalLM
    Cosmos3EdgeForConditionalGeneration Cosmos3OmniForConditionalGeneration CwmForCausalLM DbrxForCausalLM
    DeepseekV2ForCausalLM DeepseekV32ForCausalLM DeepseekV3ForCausalLM DeepseekVLForConditionalGeneration
    DeepseekVLHybridForConditionalGeneration DiffLlamaForCausalLM Dots1ForCausalLM Dots3NoteForCausalLM
    Emu3ForCausalLM Emu3ForConditionalGeneration Ernie4_5ForCausalLM Ernie4_5_MoeForCausalLM
    Ernie4_5_VLMoeForConditionalGeneration EvollaForProteinText2Text Exaone4ForCausalLM
    Exaone4_5_ForConditionalGeneration ExaoneMoeForCausalLM FalconForCausalLM FalconH1ForCausalLM
    FalconMambaForCausalLM FlexOlmoForCausalLM FlintForCausalLM FunAsrNanoForConditionalGeneration
    FuyuForCausalLM GPT2LMHeadModel GPTBigCodeForCausalLM GPTJForCausalLM GPTNeoForCausalLM
    GPTNeoXForCausalLM GPTNeoXJapaneseForCausalLM Gemma2ForCausalLM Gemma3ForCausalLM
    Gemma3ForConditionalGeneration Gemma3nForCausalLM Gemma4ForCausalLM Gemma4ForConditionalGeneration
    Gemma4UnifiedForCausalLM Gemma4UnifiedForConditionalGeneration GemmaForCausalLM
    Glm46VForConditionalGeneration Glm4ForCausalLM Glm4MoeForCausalLM Glm4MoeLiteForCausalLM
    Glm4vForConditionalGeneration Glm4vMoeForConditionalGeneration Glm5NextForConditionalGeneration
    GlmAsrForConditionalGeneration GlmForCausalLM GlmMoeDsaForCausalLM GlmOcrForConditionalGeneration
    GotOcr2ForConditionalGeneration GptOssForCausalLM Granite4VisionForConditionalGeneration
    GraniteDoclingForConditionalGeneration GraniteForCausalLM GraniteMoeForCausalLM
    GraniteMoeHybridForCausalLM GraniteMoeSWAForCausalLM GraniteMoeSharedForCausalLM GraniteSWAForCausalLM
    GraniteSpeechForConditionalGeneration GraniteSpeechPlusForConditionalGeneration HYV3ForCausalLM
    HYV4ForCausalLM HeliumForCausalLM HrmTextForCausalLM HunYuanDenseV1ForCausalLM HunYuanMoEV1ForCausalLM
    HunYuanVLForConditionalGeneration HyperCLOVAXForCausalLM HyperCLOVAXVisionV2ForConditionalGeneration
    Idefics2ForConditionalGeneration Idefics3ForConditionalGeneration Inkling2ForCausalLM
    Inkling2ForConditionalGeneration InklingForCausalLM InternVLForConditionalGeneration Jais2ForCausalLM
    JambaForCausalLM JetMoeForCausalLM KimiLinearForCausalLM Kimi_K25ForConditionalGeneration
    Kolibri1ForCausalLM LagunaForCausalLM Lfm2ForCausalLM Lfm2MoeForCausalLM
    Lfm2VlForConditionalGeneration Lfm3ForCausalLM Lfm3VlForConditionalGeneration
    LightOnOcrForConditionalGeneration Llama4ForCausalLM Llama4ForConditionalGeneration LlamaForCausalLM
    LlavaForConditionalGeneration LlavaNextForConditionalGeneration LlavaNextVideoForConditionalGeneration
    LlavaOnevisionForConditionalGeneration LongcatFlashForCausalLM Mamba2ForCausalLM MambaForCausalLM
    MellumForCausalLM MiMoV2FlashForCausalLM MiniCPM3ForCausalLM MiniCPMOcrForConditionalGeneration
    MiniCPMV4_6ForConditionalGeneration MiniCPMV4_7ForConditionalGeneration MiniMaxForCausalLM
    MiniMaxM2ForCausalLM MiniMaxM3SparseForConditionalGeneration MiniMaxM3VLForCausalLM
    Ministral3ForCausalLM MinistralForCausalLM Mistral3ForConditionalGeneration Mistral4ForCausalLM
    MistralForCausalLM MistralLarge4ForConditionalGeneration MixtralForCausalLM MllamaForCausalLM
    MllamaForConditionalGeneration ModernBertDecoderForCausalLM Molmo2ForConditionalGeneration
    MossTranscribeDiarizeForConditionalGeneration MptForCausalLM MuseGlimmerForConditionalGeneration
    MuseSparkForConditionalGeneration NanoChatForCausalLM NemotronForCausalLM NemotronHForCausalLM
    OPTForCausalLM Olmo2ForCausalLM Olmo3ForCausalLM OlmoForCausalLM OlmoHybridForCausalLM
    OlmoeForCausalLM Ovis2ForConditionalGeneration PaddleOCRVLForConditionalGeneration
    PersimmonForCausalLM Phi3ForCausalLM Phi4MultimodalForCausalLM PhiForCausalLM PhimoeForCausalLM
    QianfanOCRForConditionalGeneration Qwen2AudioForConditionalGeneration Qwen2ForCausalLM
    Qwen2MoeForCausalLM Qwen2VLForConditionalGeneration Qwen2_5OmniThinkerForConditionalGeneration
    Qwen2_5_VLForConditionalGeneration Qwen3ASRForConditionalGeneration Qwen3ForCausalLM
    Qwen3MoeForCausalLM Qwen3NextForCausalLM Qwen3OmniMoeThinkerForConditionalGeneration
    Qwen3VLForConditionalGeneration Qwen3VLMoeForConditionalGeneration Qwen3_5ForCausalLM
    Qwen3_5ForConditionalGeneration Qwen3_5MoeForCausalLM Qwen3_5MoeForConditionalGeneration
    Qwen4ExpForCausalLM SeedOssForCausalLM SmolLM3ForCausalLM SmolVLMForConditionalGeneration
    SolarOpenForCausalLM StableLmForCausalLM Starcoder2ForCausalLM Step3p7ForConditionalGeneration
    VaultGemmaForCausalLM VideoLlama3ForConditionalGeneration VideoLlavaForConditionalGeneration
    VipLlavaForConditionalGeneration VoxtralForConditionalGeneration XGLMForCausalLM YoutuForCausalLM
    Zamba2ForCausalLM ZambaForCausalLM ZayaForCausalLM
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

SHIFTED = {"PaliGemmaForConditionalGeneration": 1}
"""The position of the first token of those that do not count from 0; their prompts see all of themselves."""

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

_PICTURES = """
    Gemma3ForConditionalGeneration Glm4vForConditionalGeneration InternVLForConditionalGeneration
    Llama4ForConditionalGeneration LlavaForConditionalGeneration Mistral3ForConditionalGeneration
    Qwen2VLForConditionalGeneration Qwen2_5_VLForConditionalGeneration Qwen3VLForConditionalGeneration
    Qwen3VLMoeForConditionalGeneration SmolVLMForConditionalGeneration VoxtralForConditionalGeneration
    PaliGemmaForConditionalGeneration
"""
PICTURES = frozenset(_PICTURES.split())
"""They read blocks behind pictures or sounds as they read tokens one by one (tests/support/pictures.py)."""

ALONE = frozenset({"GPTNeoForCausalLM"})
"""They do so row by row: their own masks take the new tokens to be the last of the longest row."""

UNLIKE = {
    "DogeForCausalLM": "which keeps the keys that look largest and chooses among equal ones by rounding",
    "RwkvForCausalLM": "whose generate reads the rows of a batch otherwise than each by itself",
    "UnlimitedOcrForConditionalGeneration": "whose window keeps the beginning of a text, padding included",
    "MoshiForCausalLM": "whose masks leave out the window that its cache keeps to, so that a block sees more "
    "than one token does",
}
"""They do not, in a way that a short trial need not show."""

TREES = frozenset(
    {
        "GPT2LMHeadModel",
        "Gemma3ForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Olmo2ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
    }
)
"""They go by the positions and masks that they are given, and by nothing else: a token of a tree, which lies
further back in the cache than its position says, is read as on a line (tests/unit/test_models_trees.py)."""
