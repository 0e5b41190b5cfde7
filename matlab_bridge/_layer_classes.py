"""Every layer of MathWorks' "List of Deep Learning Layers", R2025b: its function, its class, why it may not convert.

Source: https://www.mathworks.com/help/deeplearning/ug/list-of-deep-learning-layers.html. Which classes convert is
known to the registry of rules; this table says what there is, and the reason for each class without a rule.
"""

from __future__ import annotations

from dataclasses import dataclass

_PREFIX = "nnet.cnn.layer."

# What a user writes has no package, or one of the user's own.
_PACKAGES = ("nnet.", "rl.layer.")


# What ends like one of MATLAB's own classes, and computes something else: ONNX flattens channels first.
NAMESAKES = frozenset({"nnet.onnx.layer.FlattenLayer"})


def is_mathworks(class_name: str) -> bool:
    """Whether a layer class is one of MathWorks' own."""
    return class_name.startswith(_PACKAGES)


@dataclass(frozen=True, slots=True)
class LayerClass:
    """One layer of MATLAB's.

    Attributes:
        constructor: the function that makes it, such as `"reluLayer"`.
        class_name: its class, such as `"nnet.cnn.layer.ReLULayer"`.
        kind: the section of the list.
        reason: why it has no rule; empty for a class that has one.
    """

    constructor: str
    class_name: str
    kind: str
    reason: str = ""


# Function and class, by the sections of the list.
_LISTED = {
    "Input": """
        imageInputLayer ImageInputLayer
        image3dInputLayer Image3DInputLayer
        sequenceInputLayer SequenceInputLayer
        featureInputLayer FeatureInputLayer
        inputLayer InputLayer
        pointCloudInputLayer PointCloudInputLayer
        roiInputLayer ROIInputLayer
    """,
    "Convolution and fully connected": """
        convolution1dLayer Convolution1DLayer
        convolution2dLayer Convolution2DLayer
        convolution3dLayer Convolution3DLayer
        groupedConvolution2dLayer GroupedConvolution2DLayer
        transposedConv1dLayer TransposedConvolution1DLayer
        transposedConv2dLayer TransposedConvolution2DLayer
        transposedConv3dLayer TransposedConvolution3DLayer
        fullyConnectedLayer FullyConnectedLayer
    """,
    "Sequence": """
        lstmLayer LSTMLayer
        lstmProjectedLayer LSTMProjectedLayer
        bilstmLayer BiLSTMLayer
        gruLayer GRULayer
        gruProjectedLayer GRUProjectedLayer
        sequenceFoldingLayer SequenceFoldingLayer
        sequenceUnfoldingLayer SequenceUnfoldingLayer
        wordEmbeddingLayer WordEmbeddingLayer
        neuralODELayer NeuralODELayer
    """,
    "Transformer": """
        selfAttentionLayer SelfAttentionLayer
        attentionLayer AttentionLayer
        positionEmbeddingLayer PositionEmbeddingLayer
        sinusoidalPositionEncodingLayer SinusoidalPositionEncodingLayer
        embeddingConcatenationLayer EmbeddingConcatenationLayer
        indexing1dLayer Indexing1DLayer
        patchEmbeddingLayer PatchEmbeddingLayer
    """,
    "Activation": """
        reluLayer ReLULayer
        leakyReluLayer LeakyReLULayer
        preluLayer PReLULayer
        clippedReluLayer ClippedReLULayer
        eluLayer ELULayer
        geluLayer GELULayer
        tanhLayer TanhLayer
        swishLayer SwishLayer
        softplusLayer rl.layer.SoftplusLayer
        softmaxLayer SoftmaxLayer
        sigmoidLayer SigmoidLayer
        functionLayer FunctionLayer
        complexReluLayer ComplexReLULayer
    """,
    "Normalization": """
        batchNormalizationLayer BatchNormalizationLayer
        groupNormalizationLayer GroupNormalizationLayer
        instanceNormalizationLayer InstanceNormalizationLayer
        layerNormalizationLayer LayerNormalizationLayer
        crossChannelNormalizationLayer CrossChannelNormalizationLayer
    """,
    "Utility": """
        dropoutLayer DropoutLayer
        spatialDropoutLayer SpatialDropoutLayer
        crop2dLayer Crop2DLayer
        crop3dLayer Crop3DLayer
        flattenLayer FlattenLayer
        identityLayer IdentityLayer
        networkLayer NetworkLayer
        permuteLayer PermuteLayer
        reshapeLayer ReshapeLayer
        scalingLayer rl.layer.ScalingLayer
        quadraticLayer rl.layer.QuadraticLayer
        complexToRealLayer ComplexToRealLayer
        realToComplexLayer RealToComplexLayer
        stftLayer STFTLayer
        istftLayer ISTFTLayer
        cwtLayer CWTLayer
        icwtLayer ICWTLayer
        modwtLayer MODWTLayer
    """,
    "Pooling and unpooling": """
        averagePooling1dLayer AveragePooling1DLayer
        averagePooling2dLayer AveragePooling2DLayer
        averagePooling3dLayer AveragePooling3DLayer
        adaptiveAveragePooling2dLayer AdaptiveAveragePooling2DLayer
        globalAveragePooling1dLayer GlobalAveragePooling1DLayer
        globalAveragePooling2dLayer GlobalAveragePooling2DLayer
        globalAveragePooling3dLayer GlobalAveragePooling3DLayer
        maxPooling1dLayer MaxPooling1DLayer
        maxPooling2dLayer MaxPooling2DLayer
        maxPooling3dLayer MaxPooling3DLayer
        globalMaxPooling1dLayer GlobalMaxPooling1DLayer
        globalMaxPooling2dLayer GlobalMaxPooling2DLayer
        globalMaxPooling3dLayer GlobalMaxPooling3DLayer
        maxUnpooling2dLayer MaxUnpooling2DLayer
    """,
    "Combination": """
        additionLayer AdditionLayer
        multiplicationLayer MultiplicationLayer
        concatenationLayer ConcatenationLayer
        depthConcatenationLayer DepthConcatenationLayer
    """,
    "Image processing and detection": """
        resize2dLayer Resize2DLayer
        resize3dLayer Resize3DLayer
        depthToSpace2dLayer DepthToSpace2DLayer
        spaceToDepthLayer SpaceToDepthLayer
        yolov2TransformLayer YOLOv2TransformLayer
        roiMaxPooling2dLayer ROIMaxPooling2DLayer
        roiAlignLayer ROIAlignLayer
        regionProposalLayer RegionProposalLayer
        rpnSoftmaxLayer RPNSoftmaxLayer
        ssdMergeLayer SSDMergeLayer
        anchorBoxLayer AnchorBoxLayer
    """,
    "Output": """
        classificationLayer ClassificationOutputLayer
        regressionLayer RegressionOutputLayer
        pixelClassificationLayer PixelClassificationLayer
        dicePixelClassificationLayer DicePixelClassificationLayer
        focalLossLayer FocalLossLayer
        yolov2OutputLayer YOLOv2OutputLayer
        rpnClassificationLayer RPNClassificationLayer
        rcnnBoxRegressionLayer RCNNBoxRegressionLayer
    """,
}

_COMPLEX = "Keras' layers have no complex numbers"
_UNSEEN = "what its files hold is not documented, and none has been seen"
_REGIONS = "it works on region proposals, for which Keras has no layer"
_SPECTRAL = "it is a transform of the Signal Processing or the Wavelet Toolbox; transform the data beforehand"

_REASONS = {
    "AnchorBoxLayer": _REGIONS,
    "CWTLayer": _SPECTRAL,
    "ComplexReLULayer": _COMPLEX,
    "ComplexToRealLayer": _COMPLEX,
    "ICWTLayer": _SPECTRAL,
    "ISTFTLayer": _SPECTRAL,
    "MODWTLayer": _SPECTRAL,
    "NetworkLayer": "it is a network inside the network; expandLayers(net) in MATLAB puts its layers in its place",
    "NeuralODELayer": "it solves a differential equation, for which Keras has no layer",
    "PatchEmbeddingLayer": _UNSEEN + "; a convolution whose stride is its filter size does the same",
    "PermuteLayer": _UNSEEN,
    "PointCloudInputLayer": "it takes point clouds, for which Keras has no input",
    "RealToComplexLayer": _COMPLEX,
    "ROIAlignLayer": _REGIONS,
    "ROIInputLayer": _REGIONS,
    "ROIMaxPooling2DLayer": _REGIONS,
    "RPNSoftmaxLayer": _REGIONS,
    "RegionProposalLayer": _REGIONS,
    "ReshapeLayer": _UNSEEN,
    "SSDMergeLayer": _REGIONS,
    "STFTLayer": _SPECTRAL,
    "SinusoidalPositionEncodingLayer": "in which order it has sines and cosines, and from which position it counts, "
    "is not published; register_layer can tell it",
    "YOLOv2TransformLayer": "in which order its channels hold boxes, scores and classes is not documented",
}


def _full(name: str) -> str:
    return name if "." in name else _PREFIX + name


LAYER_CLASSES = tuple(
    LayerClass(constructor, _full(name), kind, _REASONS.get(name, ""))
    for kind, listing in _LISTED.items()
    for constructor, name in map(str.split, listing.strip().splitlines())
)

KNOWN_CLASSES = frozenset(each.class_name for each in LAYER_CLASSES)


def without_rule(class_name: str) -> str:
    """What to say of a layer class that has no rule.

    Args:
        class_name: the full class name.

    Returns:
        A reason as `UnsupportedLayerError` lists it.

    Examples:
        >>> without_rule("nnet.cnn.layer.ComplexReLULayer")
        "its class has no conversion: Keras' layers have no complex numbers"
    """
    known = {each.class_name: each.reason for each in LAYER_CLASSES}
    reason = known.get(class_name, "")
    if class_name not in known and not is_mathworks(class_name):
        reason = "it is not one of MathWorks' own, and what it computes is not in the file"
    return f"its class has no conversion: {reason}" if reason else "its class has no conversion"
