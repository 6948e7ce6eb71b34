"""Spellings of a residual network's parts: stem, block, layer, shortcut and SE.

Each table lists patterns for one part of a key and what the part is called in our models. The
tables are independent, so that any spelling of one part combines with any of another: a file may
have `conv` and `bn` in its stem, `stage1.0` for its blocks, `skip` for its shortcuts and `linear`
for its last layer.
"""

import re
from collections.abc import Sequence

# A pattern of a whole part, and its replacement.
PartRules = Sequence[tuple[str, str]]

# Parameters and statistics of a layer.
LEAVES: PartRules = (
    (r"weight|kernel|gamma|scale|W", "weight"),
    (r"bias|beta|offset|b", "bias"),
    (r"running_mean|_mean|mean|moving_mean", "running_mean"),
    (r"running_var|_variance|variance|var|moving_variance", "running_var"),
    (r"num_batches_tracked", "num_batches_tracked"),
)

STAGE_WORD = r"(?:layer|stage|block|group|level)"
# After a stage's number: the number of the block, from 0 or 1.
BLOCK_NUMBER = r"\.(?:layers?\.|blocks?\.|units?\.)?(?:layer|block|unit|res|bottleneck)?_?(\d+)\."

# Patterns with the numbers of stage and block, and the numbers that the first stage may have. A
# file whose first stage has another number lacks it.
BLOCKS: tuple[tuple[str, tuple[int, ...]], ...] = (
    (rf"(?:features\.)?{STAGE_WORD}s?_?(\d+){BLOCK_NUMBER}", (0, 1)),
    # He's names: the stem is the first stage.
    (rf"res_?(\d+){BLOCK_NUMBER}", (2,)),
    (r"(?:features\.)?conv_?(\d)_x\.(\d+)\.", (2,)),
    (rf"(?:features\.|encoder\.|body\.|trunk\.)*{STAGE_WORD}s?\.(\d+){BLOCK_NUMBER}", (0, 1)),
    # Children by number: torchvision's stem has 0 to 3, a stem for CIFAR 0 and 1.
    (r"(\d+)\.(\d+)\.", (2, 3, 4)),
)

# Containers that hold a block's branch.
BRANCH = (
    r"(?:body|residual|residual_function|left|main|main_path|branch|branch2|layers?|block|"
    "net"
    r"|conv_block|convs|seq|op|f|residual_branch|double_conv)\."
)

# Layers of a block's branch.
BRANCH_LAYERS: PartRules = (
    (r"conv_?([123])(?:\.(?:0|conv|conv2d|convolution))?", "conv{1}"),
    (r"conv_?([123])\.(?:1|bn|norm|batch_?norm)", "bn{1}"),
    (r"(?:bn|norm|batch_?norm|batchnorm2d)_?([123])(?:\.(?:bn|norm))?", "bn{1}"),
    (r"conv_?([abc])", "conv{1+1}"),
    (r"(?:bn|norm)_?([abc])", "bn{1+1}"),
    # Transformers of Hugging Face count from 0.
    (r"([012])\.convolution", "conv{1+1}"),
    (r"([012])\.normalization", "bn{1+1}"),
)

SHORTCUT_WORDS = (
    r"(?:downsample|down_?sample|shortcut|short_?cut|identity_conv|identity|skip|"
    r"skip_?connection|proj|projection|residual_conv|res_?conv|sc|down|match|adjust|"
    r"downsampler|conv_?shortcut|conv_?sc|conv_?skip|convShortcut)"
)

# Layers of a shortcut: convolution and batch norm, or a convolution alone.
SHORTCUT_LAYERS: PartRules = (
    (rf"{SHORTCUT_WORDS}[._](?:0|conv|conv1|convolution)(?:\.conv)?", "downsample.0"),
    (rf"{SHORTCUT_WORDS}[._](?:1|bn|bn1|norm|normalization|batch_?norm)(?:\.bn)?", "downsample.1"),
    (rf"(?:bn|norm)_?{SHORTCUT_WORDS}", "downsample.1"),
    (SHORTCUT_WORDS, "downsample"),
)

SE_WORDS = r"(?:se|se_?module|se_?layer|se_?block|excitation|squeeze_?excitation|attention|ca)"

SE_LAYERS: PartRules = (
    (rf"{SE_WORDS}\.(?:fc|excitation|layers?)?\.?(?:0|fc1|conv1|reduce|conv_reduce|squeeze)", "1"),
    (rf"{SE_WORDS}\.(?:fc|excitation|layers?)?\.?(?:2|fc2|conv2|expand|conv_expand|excite)", "2"),
    (rf"{SE_WORDS}\.conv1\.conv", "1"),
    (rf"{SE_WORDS}\.conv2\.conv", "2"),
    # SE's layers in the block itself.
    (r"fc_?1", "1"),
    (r"fc_?2", "2"),
)

STEM_WORDS = (
    r"(?:features\.|embedder\.|backbone\.)?"
    r"(?:stem|pre|prep|init_block|initial|embedder|input|input_layer|layer0|conv0|conv1|first)"
)

# The first convolution and its batch norm.
STEM_LAYERS: PartRules = (
    (
        (
            r"(?:features\.)?(?:conv_?[01]?(?:_\dx\d)?|init_conv|conv_init|conv_in|conv_stem|"
            r"first_conv)"
        ),
        "conv1",
    ),
    (r"(?:features\.)?(?:bn_?[01]|norm_?[01]|init_bn|bn_init|bn_in|first_bn)", "bn1"),
    (r"(?:features\.)?(?:bn|norm|batch_?norm)", "bn"),
    (rf"{STEM_WORDS}\.(?:conv\.)?(?:0|conv|conv_?1|convolution)(?:\.conv)?", "conv1"),
    (rf"{STEM_WORDS}\.(?:conv\.)?(?:1|bn|bn_?1|norm|norm_?1|normalization)(?:\.bn)?", "bn1"),
    (rf"{STEM_WORDS}\.(?:conv1|conv)\.(?:bn|norm)", "bn1"),
    (r"(?:features\.)?(?:stem|init_block)", "conv1"),
    # Children by number.
    (r"0", "conv1"),
    (r"1", "bn1"),
    # The batch norm behind the last block of a pre-activation ResNet.
    (r"(?:features\.)?(?:post_activ|last|final|tail|post)[._](?:bn|norm)", "bn"),
    (r"(?:bn|norm)_?(?:last|final|out|end|post)", "bn"),
)

# The three convolutions of a deep stem; these rules come first where there is a third.
DEEP_STEM_LAYERS: PartRules = (
    (r"(conv1\.[01346])", "{1}"),
    (rf"{STEM_WORDS}\.conv1\.conv", "conv1.0"),
    (rf"{STEM_WORDS}\.conv1\.bn", "conv1.1"),
    (rf"{STEM_WORDS}\.conv2\.conv", "conv1.3"),
    (rf"{STEM_WORDS}\.conv2\.bn", "conv1.4"),
    (rf"{STEM_WORDS}\.conv3\.conv", "conv1.6"),
    (rf"{STEM_WORDS}\.conv3\.bn", "bn1"),
)
DEEP_STEM_RE = re.compile(rf"conv1\.6|{STEM_WORDS}\.conv3\.conv", re.IGNORECASE)

# Words in the names of last layers, and of what training adds in their place.
HEAD_WORDS = (
    r"fc|fcs|linear|lin|classifier|classification|head|heads|output|out|last_linear|logits|"
    r"predictions?|pred|dense|cls|top|final|mlp|proj|projector|projection_?head|last|layers?"
)
HEAD_RE = re.compile(
    rf"(?:stem\.)?(?:(?:{HEAD_WORDS})(?:_?\d+)?\.)(?:(?:{HEAD_WORDS}|\d+)(?:_?\d+)?\.)*\w+"
)
