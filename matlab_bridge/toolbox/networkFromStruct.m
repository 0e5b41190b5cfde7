function [net, classNames] = networkFromStruct(s)
%NETWORKFROMSTRUCT Build a dlnetwork from the struct that describes it.
%   NET = NETWORKFROMSTRUCT(S) builds a dlnetwork, with its weights, from a
%   struct that NETWORKTOSTRUCT or matlab_bridge made.
%
%   [NET, CLASSNAMES] = NETWORKFROMSTRUCT(S) also returns the names of the
%   classes, in the order of the network's scores, as a cell array.
%
%   Output layers, which a dlnetwork does not have, are left out. The layers
%   are made with MATLAB's public functions (convolution2dLayer, reluLayer,
%   ...) of the release that runs; a layer without one is an error that names
%   it. An option at MATLAB's default is not passed, so that a release which
%   does not know the option yet can build the network all the same.
%
%   Example:
%      load('pruned.mat', 'net');
%      [net, classNames] = networkFromStruct(net);
%      labels = onehotdecode(predict(net, dlarray(images, 'SSCB')), classNames, 1);
%
%   See also NETWORKTOSTRUCT, APPLYPRUNEDWEIGHTS.

if nargin < 1 || ~isstruct(s) || ~isfield(s, 'Format') || ~strcmp(s.Format, 'keras-prunelab network')
    error('networkFromStruct:notADescription', ...
        ['Expected a struct whose field Format is ''keras-prunelab network'', ' ...
        'as networkToStruct and matlab_bridge.save_portable make it.']);
end
if s.FormatVersion > 1
    error('networkFromStruct:newerFormat', ...
        ['The struct is of FormatVersion %g, but this function knows version 1. ' ...
        'Install the newer toolbox folder.'], s.FormatVersion);
end

described = s.Layers(~cellfun(@isOutputLayer, s.Layers));
names = cellfun(@(layer) layer.Name, described, 'UniformOutput', false);
known = constructors();
rows = cellfun(@(layer) find(strcmp(shortClass(layer), known(:, 1))), described, 'UniformOutput', false);
strange = cellfun(@isempty, rows);
if any(strange)
    list = cellfun(@(layer) sprintf('\n  ''%s'' of class %s', layer.Name, layer.Class), ...
        described(strange), 'UniformOutput', false);
    error('networkFromStruct:unknownLayer', 'There is no public function for these layers:%s', [list{:}]);
end

graph = layerGraph();
for i = 1:numel(described)
    graph = addLayers(graph, makeLayer(described{i}, known(rows{i}, :)));
end
sources = s.Connections.Source;
destinations = s.Connections.Destination;
for i = 1:numel(sources)
    if any(strcmp(ownerOf(sources{i}, names), names)) && any(strcmp(ownerOf(destinations{i}, names), names))
        graph = connectLayers(graph, sources{i}, destinations{i});
    end
end

outputs = s.OutputNames(cellfun(@(output) any(strcmp(ownerOf(output, names), names)), s.OutputNames));
if isempty(outputs)
    net = dlnetwork(graph);
else
    net = dlnetwork(graph, 'OutputNames', reshape(outputs, 1, []));
end
net = applyPrunedWeights(net, s);
classNames = s.ClassNames;
end


function known = constructors()
% A row a class: its public function, the settings it takes in order, and those it takes by name.
% 'Padding' and 'Cropping' stand for a mode and a size.
normalization = {'Normalization', 'NormalizationDimension', 'Mean', 'StandardDeviation', 'Min', 'Max'};
sequence = [normalization {'MinLength'}];
convolution = {'NumChannels', 'Stride', 'DilationFactor', 'Padding', 'PaddingValue'};
transposed = {'NumChannels', 'Stride', 'Cropping'};
pooling = {'Stride', 'Padding'};
batch = {'Epsilon', 'MeanDecay', 'VarianceDecay'};
memory = {'OutputMode', 'StateActivationFunction', 'GateActivationFunction', 'HasStateInputs', 'HasStateOutputs'};
gated = [memory {'ResetGateMode'}];
projected = {'NumHiddenUnits', 'OutputProjectorSize', 'InputProjectorSize'};
attention = {'NumValueChannels', 'OutputSize', 'AttentionMask', 'HasPaddingMaskInput', 'DropoutProbability'};
resize = {'Scale', 'OutputSize', 'Method', 'GeometricTransformMode', 'NearestRoundingMode'};
known = {
    'ImageInputLayer',                'imageInputLayer',                {'InputSize'},                normalization
    'Image3DInputLayer',              'image3dInputLayer',              {'InputSize'},                normalization
    'FeatureInputLayer',              'featureInputLayer',              {'InputSize'},                normalization
    'SequenceInputLayer',             'sequenceInputLayer',             {'InputSize'},                sequence
    'InputLayer',                     'inputLayer',                     {'InputSize', 'InputFormat'}, {}
    'Convolution1DLayer',             'convolution1dLayer',             {'FilterSize', 'NumFilters'}, convolution
    'Convolution2DLayer',             'convolution2dLayer',             {'FilterSize', 'NumFilters'}, convolution
    'Convolution3DLayer',             'convolution3dLayer',             {'FilterSize', 'NumFilters'}, convolution
    'GroupedConvolution2DLayer',      'groupedConvolution2dLayer',      {'FilterSize', 'NumFiltersPerGroup', 'NumGroups'}, convolution(2:end)
    'TransposedConvolution1DLayer',   'transposedConv1dLayer',          {'FilterSize', 'NumFilters'}, transposed
    'TransposedConvolution2DLayer',   'transposedConv2dLayer',          {'FilterSize', 'NumFilters'}, transposed
    'TransposedConvolution3DLayer',   'transposedConv3dLayer',          {'FilterSize', 'NumFilters'}, transposed
    'FullyConnectedLayer',            'fullyConnectedLayer',            {'OutputSize'},               {}
    'LSTMLayer',                      'lstmLayer',                      {'NumHiddenUnits'},           memory
    'BiLSTMLayer',                    'bilstmLayer',                    {'NumHiddenUnits'},           memory
    'GRULayer',                       'gruLayer',                       {'NumHiddenUnits'},           gated
    'LSTMProjectedLayer',             'lstmProjectedLayer',             projected,                    memory
    'GRUProjectedLayer',              'gruProjectedLayer',              projected,                    gated
    'BatchNormalizationLayer',        'batchNormalizationLayer',        {},                           batch
    'LayerNormalizationLayer',        'layerNormalizationLayer',        {},                           {'Epsilon', 'OperationDimension'}
    'InstanceNormalizationLayer',     'instanceNormalizationLayer',     {},                           {'Epsilon'}
    'GroupNormalizationLayer',        'groupNormalizationLayer',        {'NumGroups'},                {'Epsilon'}
    'CrossChannelNormalizationLayer', 'crossChannelNormalizationLayer', {'WindowChannelSize'},        {'Alpha', 'Beta', 'K'}
    'ReLULayer',                      'reluLayer',                      {},                           {}
    'LeakyReLULayer',                 'leakyReluLayer',                 {'Scale'},                    {}
    'ClippedReLULayer',               'clippedReluLayer',               {'Ceiling'},                  {}
    'ELULayer',                       'eluLayer',                       {'Alpha'},                    {}
    'PReLULayer',                     'preluLayer',                     {},                           {}
    'GELULayer',                      'geluLayer',                      {},                           {'Approximation'}
    'SoftplusLayer',                  'softplusLayer',                  {},                           {}
    'SwishLayer',                     'swishLayer',                     {},                           {}
    'TanhLayer',                      'tanhLayer',                      {},                           {}
    'SigmoidLayer',                   'sigmoidLayer',                   {},                           {}
    'SoftmaxLayer',                   'softmaxLayer',                   {},                           {}
    'ScalingLayer',                   'scalingLayer',                   {},                           {'Scale', 'Bias', 'Offset'}
    'MaxPooling1DLayer',              'maxPooling1dLayer',              {'PoolSize'},                 pooling
    'MaxPooling2DLayer',              'maxPooling2dLayer',              {'PoolSize'},                 [pooling {'HasUnpoolingOutputs'}]
    'MaxPooling3DLayer',              'maxPooling3dLayer',              {'PoolSize'},                 pooling
    'MaxUnpooling2DLayer',            'maxUnpooling2dLayer',            {},                           {}
    'AveragePooling1DLayer',          'averagePooling1dLayer',          {'PoolSize'},                 [pooling {'PaddingValue'}]
    'AveragePooling2DLayer',          'averagePooling2dLayer',          {'PoolSize'},                 [pooling {'PaddingValue'}]
    'AveragePooling3DLayer',          'averagePooling3dLayer',          {'PoolSize'},                 [pooling {'PaddingValue'}]
    'AdaptiveAveragePooling2DLayer',  'adaptiveAveragePooling2dLayer',  {'OutputSize'},               {}
    'GlobalAveragePooling1DLayer',    'globalAveragePooling1dLayer',    {},                           {}
    'GlobalAveragePooling2DLayer',    'globalAveragePooling2dLayer',    {},                           {}
    'GlobalAveragePooling3DLayer',    'globalAveragePooling3dLayer',    {},                           {}
    'GlobalMaxPooling1DLayer',        'globalMaxPooling1dLayer',        {},                           {}
    'GlobalMaxPooling2DLayer',        'globalMaxPooling2dLayer',        {},                           {}
    'GlobalMaxPooling3DLayer',        'globalMaxPooling3dLayer',        {},                           {}
    'Resize2DLayer',                  'resize2dLayer',                  {},                           resize
    'DepthToSpace2DLayer',            'depthToSpace2dLayer',            {'BlockSize'},                {'Mode'}
    'SpaceToDepthLayer',              'spaceToDepthLayer',              {'BlockSize'},                {}
    'SelfAttentionLayer',             'selfAttentionLayer',             {'NumHeads', 'NumKeyChannels'}, attention
    'AttentionLayer',                 'attentionLayer',                 {'NumHeads'},                 [{'Scale'} attention(3:end)]
    'PositionEmbeddingLayer',         'positionEmbeddingLayer',         {'OutputSize', 'MaxPosition'}, {'PositionDimension'}
    'IdentityLayer',                  'identityLayer',                  {},                           {}
    'SpatialDropoutLayer',            'spatialDropoutLayer',            {'Probability'},              {}
    'DropoutLayer',                   'dropoutLayer',                   {'Probability'},              {}
    'FlattenLayer',                   'flattenLayer',                   {},                           {}
    'SequenceFoldingLayer',           'sequenceFoldingLayer',           {},                           {}
    'SequenceUnfoldingLayer',         'sequenceUnfoldingLayer',         {},                           {}
    'Indexing1DLayer',                'indexing1dLayer',                {'Index'},                    {}
    'EmbeddingConcatenationLayer',    'embeddingConcatenationLayer',    {},                           {}
    'WordEmbeddingLayer',             'wordEmbeddingLayer',             {'Dimension', 'NumWords'},    {'OOVMode'}
    'AdditionLayer',                  'additionLayer',                  {'NumInputs'},                {}
    'MultiplicationLayer',            'multiplicationLayer',            {'NumInputs'},                {}
    'DepthConcatenationLayer',        'depthConcatenationLayer',        {'NumInputs'},                {}
    'ConcatenationLayer',             'concatenationLayer',             {'Dim', 'NumInputs'},         {}
    };
end


function layer = makeLayer(described, row)
% Call a layer's public function with the settings that the struct has.
settings = described.Settings;
ordered = row{3};
inputs = cell(1, numel(ordered));
for i = 1:numel(ordered)
    if ~isfield(settings, ordered{i})
        error('networkFromStruct:missingSetting', ...
            'Layer ''%s'' of class %s has no setting %s, which %s needs.', ...
            described.Name, described.Class, ordered{i}, row{2});
    end
    inputs{i} = settings.(ordered{i});
end
for option = row{4}
    value = optionValue(settings, option{1});
    if ~isempty(value) && ~isDefault(option{1}, value)
        inputs = [inputs, option, {value}]; %#ok<AGROW>
    end
end
if isfield(settings, 'Normalization') && strncmp(settings.Normalization, '@', 1)
    error('networkFromStruct:ownNormalization', ...
        ['Layer ''%s'' normalizes with a function of your own, %s, which the struct cannot hold. ' ...
        'Set its Normalization to ''none'' and normalize the data yourself.'], ...
        described.Name, settings.Normalization);
end
layer = feval(row{2}, inputs{:}, 'Name', described.Name);
end


function value = optionValue(settings, option)
% The value of an option; empty where the struct says nothing.
value = [];
if any(strcmp(option, {'Padding', 'Cropping'}))
    mode = optionValue(settings, [option 'Mode']);
    value = optionValue(settings, [option 'Size']);
    if ~isempty(mode) && ~strcmp(mode, 'manual')
        value = mode;
    end
elseif isfield(settings, option)
    value = settings.(option);
end
end


function tf = isDefault(option, value)
% Whether an option that came with a later release has the value that it has without it.
switch option
    case {'PaddingValue', 'HasUnpoolingOutputs', 'HasStateInputs', 'HasStateOutputs', ...
            'HasPaddingMaskInput', 'DropoutProbability'}
        tf = isequal(value, 0) || isequal(value, false);
    case 'MinLength'
        tf = isequal(value, 1);
    case {'MeanDecay', 'VarianceDecay'}
        tf = isequal(value, 0.1);
    case {'AttentionMask', 'Approximation'}
        tf = strcmp(value, 'none');
    case {'NormalizationDimension', 'NumChannels', 'OperationDimension', 'NumValueChannels', 'Scale'}
        tf = strcmp(value, 'auto');
    otherwise
        tf = false;
end
end


function tf = isOutputLayer(layer)
% Whether the layer computes a loss, which a dlnetwork leaves to the training.
tf = ~isempty(regexp(layer.Class, '(OutputLayer|ClassificationLayer|RegressionLayer)$', 'once'));
end


function name = shortClass(layer)
% The class without its package; the flatten of networks from ONNX has another order than MATLAB's, and its own name.
name = layer.Class;
if ~strcmp(name, 'nnet.onnx.layer.FlattenLayer')
    name = regexprep(name, '^.*\.', '');
end
end


function name = ownerOf(endPoint, names)
% The layer of an end point such as 'pool/indices'; the name of an imported layer may have slashes itself.
name = endPoint;
if ~any(strcmp(name, names))
    name = regexprep(name, '/[^/]*$', '');
end
end
