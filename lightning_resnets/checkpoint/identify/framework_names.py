"""Keys of other frameworks, and of DenseNets, as rules that turn them into ours.

`models/rename_keys.py` defines the form of a rule. The spellings of PyTorch's residual networks
combine freely and are in `spellings.py`.
"""

from lightning_resnets.models.rename_keys import KeyRules

# He's names of 2015, which Keras and Paddle adopted. res4b7_branch2c is stage 4, block 7
# (a = 0, b = b1 = 1), conv 3.
HE_2015: KeyRules = (
    (r"^res([2-5])([a-z]\d*)_branch1\.", "layer{1-1}.{2+0}.downsample.0."),
    (r"^(?:bn|scale)([2-5])([a-z]\d*)_branch1\.", "layer{1-1}.{2+0}.downsample.1."),
    (r"^res([2-5])([a-z]\d*)_branch2([abc])\.", "layer{1-1}.{2+0}.conv{3+1}."),
    (r"^(?:bn|scale)([2-5])([a-z]\d*)_branch2([abc])\.", "layer{1-1}.{2+0}.bn{3+1}."),
    (r"^(?:bn_conv1|scale_conv1)\.", "bn1."),
    (r"^fc(?:1000|_0)?\.", "fc."),
)

# Caffe's layers have numbered blobs. Batch norm's are mean, variance and the factor that both must
# be divided by.
CAFFE_BLOBS: KeyRules = (
    (r"^(scale_?\w+|.+/scale)[/.:_](?:0|weights?|gamma)$", "{1}.weight"),
    (r"^(scale_?\w+|.+/scale)[/.:_](?:1|bias(?:es)?|beta)$", "{1}.bias"),
    (r"^(bn_?\w+|.+/bn)[/.:_](?:0|mean|running_mean)$", "{1}.running_mean"),
    (r"^(bn_?\w+|.+/bn)[/.:_](?:1|var(?:iance)?|running_var)$", "{1}.running_var"),
    (r"^(bn_?\w+|.+/bn)[/.:_](?:2|factor)$", "{1}.factor"),
    (r"^((?:res|conv|fc|classifier).*)[/.:_](?:0|weights?)$", "{1}.weight"),
    (r"^((?:res|conv|fc|classifier).*)[/.:_](?:1|bias(?:es)?)$", "{1}.bias"),
)

# Keras up to 2.2, on He's names for the layers.
KERAS: KeyRules = (
    (r"^.*/(?=[^/]+_(?:W|b|gamma|beta|running_mean|running_std)(?:_\d+)?(?::0)?$)", ""),
    # A path repeats the layer's name.
    (r"^(?:.*/)?([^/.]+)[/.](?=[a-z_]+(?::0)?$)", "{1}."),
    (r"^([^.]+)_(W|b|gamma|beta|running_mean|running_std)(?:_\d+)?(?::0)?$", "{1}.{2}"),
    (r"\.(?:kernel|gamma|W)(?::0)?$", ".weight"),
    (r"\.(?:beta|bias|b)(?::0)?$", ".bias"),
    (r"\.(?:moving_mean|running_mean)(?::0)?$", ".running_mean"),
    (r"\.(?:moving_variance|running_std)(?::0)?$", ".running_var"),
)

# PaddlePaddle, on He's names for the layers.
PADDLE: KeyRules = (
    (r"^(res\w+|conv1|fc)_weights$", "{1}.weight"),
    (r"^(bn\w+)_scale$", "{1}.weight"),
    (r"^(bn\w+|fc)_offset$", "{1}.bias"),
    (r"^(bn\w+)_mean$", "{1}.running_mean"),
    (r"^(bn\w+)_variance$", "{1}.running_var"),
    (r"^fc_0\.w_0$", "fc.weight"),
    (r"^fc_0\.b_0$", "fc.bias"),
)

# kuangliu counts layers from 0.
KUANGLIU_DENSE: KeyRules = (
    (r"^conv1\.", "features.conv0."),
    (r"^dense(\d+)\.(\d+)\.bn([12])\.", "features.denseblock{1}.denselayer{2+1}.norm{3}."),
    (r"^dense(\d+)\.(\d+)\.conv([12])\.", "features.denseblock{1}.denselayer{2+1}.conv{3}."),
    (r"^trans(\d+)\.bn\.", "features.transition{1}.norm."),
    (r"^trans(\d+)\.conv\.", "features.transition{1}.conv."),
    (r"^bn\.", "features.norm5."),
    (r"^linear\.", "classifier."),
)

# pytorchcv's transitions belong to the stage behind them.
PYTORCHCV_DENSENET: KeyRules = (
    (r"^features\.init_block\.weight$", "features.conv0.weight"),
    (r"^features\.init_block\.conv\.", "features.conv0."),
    (r"^features\.init_block\.bn\.", "features.norm0."),
    (
        r"^features\.stage(\d+)\.unit(\d+)\.conv(\d?)\.bn\.",
        "features.denseblock{1}.denselayer{2}.norm{3}.",
    ),
    (
        r"^features\.stage(\d+)\.unit(\d+)\.conv(\d?)\.conv\.",
        "features.denseblock{1}.denselayer{2}.conv{3}.",
    ),
    # Layers without bottlenecks have one norm and one convolution.
    (r"(denselayer\d+\.(?:norm|conv))\.(?=\w+$)", "{1}1."),
    (r"^features\.stage(\d+)\.trans\d+\.conv\.bn\.", "features.transition{1-1}.norm."),
    (r"^features\.stage(\d+)\.trans\d+\.conv\.conv\.", "features.transition{1-1}.conv."),
    (r"^features\.post_activ\.bn\.", "features.norm5."),
    (r"^output\.", "classifier."),
)

# Hu's SE networks in Caffe.
CAFFE_SE: KeyRules = (
    (r"^conv1/7x7_s2/bn(?:/scale)?\.", "bn1."),
    (r"^conv1/7x7_s2\.", "conv1."),
    (r"^conv([2-5])_(\d+)_1x1_proj/bn(?:/scale)?\.", "layer{1-1}.{2-1}.downsample.1."),
    (r"^conv([2-5])_(\d+)_1x1_proj\.", "layer{1-1}.{2-1}.downsample.0."),
    (r"^conv([2-5])_(\d+)_1x1_down\.", "layer{1-1}.{2-1}.se.fc1."),
    (r"^conv([2-5])_(\d+)_1x1_up\.", "layer{1-1}.{2-1}.se.fc2."),
    (r"^(conv\d_\d+_)1x1_reduce", "{1}1"),
    (r"^(conv\d_\d+_)3x3", "{1}2"),
    (r"^(conv\d_\d+_)1x1_increase", "{1}3"),
    (r"^conv([2-5])_(\d+)_([123])/bn(?:/scale)?\.", "layer{1-1}.{2-1}.bn{3}."),
    (r"^conv([2-5])_(\d+)_([123])\.", "layer{1-1}.{2-1}.conv{3}."),
    (r"^classifier\.", "fc."),
)

# Keras since 2.3.
KERAS_BLOCKS: KeyRules = (
    (r"^conv([2-5])_block(\d+)_0_conv\.", "layer{1-1}.{2-1}.downsample.0."),
    (r"^conv([2-5])_block(\d+)_0_bn\.", "layer{1-1}.{2-1}.downsample.1."),
    (r"^conv([2-5])_block(\d+)_([123])_(conv|bn)\.", "layer{1-1}.{2-1}.{4}{3}."),
    (r"^conv1_(conv|bn)\.", "{1}1."),
    (r"^(?:predictions|probs)\.", "fc."),
)

# MSRA's models in Caffe2. Batch norms are folded into a scale and an offset.
CAFFE2: KeyRules = (
    (r"^conv1_w$", "conv1.weight"),
    (r"^conv1_b$", "conv1.bias"),
    (r"^res_conv1_bn_s$", "bn1.weight"),
    (r"^res_conv1_bn_b$", "bn1.bias"),
    (r"^res([2-5])_(\d+)_branch1_w$", "layer{1-1}.{2+0}.downsample.0.weight"),
    (r"^res([2-5])_(\d+)_branch1_bn_s$", "layer{1-1}.{2+0}.downsample.1.weight"),
    (r"^res([2-5])_(\d+)_branch1_bn_b$", "layer{1-1}.{2+0}.downsample.1.bias"),
    (r"^res([2-5])_(\d+)_branch2([abc])_w$", "layer{1-1}.{2+0}.conv{3+1}.weight"),
    (r"^res([2-5])_(\d+)_branch2([abc])_bn_s$", "layer{1-1}.{2+0}.bn{3+1}.weight"),
    (r"^res([2-5])_(\d+)_branch2([abc])_bn_b$", "layer{1-1}.{2+0}.bn{3+1}.bias"),
    (r"^(?:pred|fc1000)_w$", "fc.weight"),
    (r"^(?:pred|fc1000)_b$", "fc.bias"),
)
