function s = networkToStruct(net, classNames)
%NETWORKTOSTRUCT Describe a deep learning network as a plain struct.
%   S = NETWORKTOSTRUCT(NET) describes NET, a dlnetwork, SeriesNetwork,
%   DAGNetwork, LayerGraph or array of layers, by a struct of numbers, text
%   and cells. Any release of MATLAB, GNU Octave and matlab_bridge read it,
%   and NETWORKFROMSTRUCT builds a dlnetwork from it.
%
%   S = NETWORKTOSTRUCT(NET, CLASSNAMES) also keeps the names of the classes,
%   in the order of the network's scores: a cell array of character vectors,
%   a string array or a categorical array. A dlnetwork has none of its own;
%   those of an output layer are found without CLASSNAMES.
%
%   A property that is no number, text or cell array of text (an object, say)
%   is left out, and a warning names it.
%
%   Example:
%      network = networkToStruct(net, categories(labels));
%      save('network.mat', 'network', '-v7');
%
%   See also NETWORKFROMSTRUCT, APPLYPRUNEDWEIGHTS.

if nargin < 1
    error('networkToStruct:noNetwork', ...
        'Pass a network: networkToStruct(net) or networkToStruct(net, classNames).');
end
if nargin < 2
    classNames = {};
end

isArray = isa(net, 'nnet.cnn.layer.Layer');
if isArray
    layers = net;
    known = {};
else
    known = publicNames(net);
    if ~any(strcmp('Layers', known))
        error('networkToStruct:notANetwork', ...
            ['Expected a dlnetwork, SeriesNetwork, DAGNetwork, LayerGraph or array of layers, ' ...
            'but got a value of class %s.'], class(net));
    end
    layers = net.Layers;
end

s = struct();
s.Format = 'keras-prunelab network';
s.FormatVersion = 1;
if isArray
    s.Class = 'layer array';
else
    s.Class = class(net);
end
s.Layers = cell(numel(layers), 1);
for i = 1:numel(layers)
    s.Layers{i} = describeLayer(layers(i));
end
s.Layers = withTable(s.Layers, net, known, 'Learnables');
s.Layers = withTable(s.Layers, net, known, 'State');

s.Connections = struct();
if any(strcmp('Connections', known))
    s.Connections.Source = columnOfText(net.Connections.Source);
    s.Connections.Destination = columnOfText(net.Connections.Destination);
else
    names = cellfun(@(layer) layer.Name, s.Layers, 'UniformOutput', false);
    s.Connections.Source = reshape(names(1:end-1), [], 1);
    s.Connections.Destination = reshape(names(2:end), [], 1);
end

s.OutputNames = cell(0, 1);
if any(strcmp('OutputNames', known))
    s.OutputNames = columnOfText(net.OutputNames);
end
s.ClassNames = columnOfText(classNames);
if isempty(s.ClassNames)
    s.ClassNames = classesOf(s.Layers);
end
end


function described = describeLayer(layer)
% One layer: a property with a learning rate factor of its own is a learnable.
states = {'TrainedMean', 'TrainedVariance', 'HiddenState', 'CellState'};
ignored = {'Name', 'Description', 'Type', 'InputNames', 'OutputNames', 'NumOutputs', ...
    'Learnables', 'State', 'DataAugmentation'};

described = struct();
described.Name = char(layer.Name);
described.Class = class(layer);
described.Settings = struct();
described.Learnables = struct();
described.State = struct();

names = publicNames(layer);
for i = 1:numel(names)
    name = names{i};
    isTraining = ~isempty(regexp(name, '(LearnRateFactor|L2Factor|Initializer)$', 'once'));
    if isTraining || any(strcmp(name, ignored))
        continue
    end
    [value, isPlain] = plainValue(layer.(name));
    if ~isPlain
        warning('networkToStruct:skippedProperty', ...
            'Layer ''%s'': property %s of class %s is left out.', ...
            described.Name, name, class(layer.(name)));
    elseif any(strcmp([regexprep(name, '^Weights$', 'Weight') 'LearnRateFactor'], names))
        described.Learnables.(name) = value;
    elseif any(strcmp(name, states))
        described.State.(name) = value;
    elseif ~strcmp(name, 'NumInputs') || ~isequal(value, 1)
        described.Settings.(name) = value;
    end
end
end


function layers = withTable(layers, net, known, kind)
% The values of a dlnetwork's table Learnables or State, into the layers.
if ~any(strcmp(kind, known))
    return
end
rows = net.(kind);
owners = columnOfText(rows.Layer);
parameters = columnOfText(rows.Parameter);
names = cellfun(@(layer) layer.Name, layers, 'UniformOutput', false);
for row = 1:numel(owners)
    at = find(strcmp(owners{row}, names), 1);
    if isempty(at) || ~isvarname(parameters{row})
        error('networkToStruct:nestedNetwork', ...
            ['The parameter ''%s'' of layer ''%s'' belongs to a network inside the layer, ' ...
            'which the struct cannot hold. Expand the layer first (expandLayers).'], ...
            parameters{row}, owners{row});
    end
    layers{at}.(kind).(parameters{row}) = plainValue(rows.Value{row});
end
end


function names = publicNames(value)
% The public properties of an object, or the fields of a struct; none of a number or a text.
if isstruct(value)
    names = fieldnames(value);
elseif isnumeric(value) || islogical(value) || ischar(value) || iscell(value)
    names = {};
else
    names = properties(value);
end
end


function [value, isPlain] = plainValue(value)
% Numbers and text, taken out of the classes that MATLAB wraps them in.
if isa(value, 'dlarray')
    value = extractdata(value);
end
if isa(value, 'gpuArray')
    value = gather(value);
end
if isa(value, 'function_handle')
    value = func2str(value);
elseif isa(value, 'string') && numel(value) == 1
    value = char(value);
elseif isa(value, 'string') || isa(value, 'categorical')
    value = columnOfText(value);
end
isPlain = isnumeric(value) || islogical(value) || ischar(value) || iscellstr(value);
end


function text = columnOfText(value)
% Character vectors in a column, from a char, cellstr, string or categorical array.
if isempty(value)
    text = cell(0, 1);
else
    text = reshape(cellstr(value), [], 1);
end
end


function names = classesOf(layers)
% The classes of the first output layer that has any; 'auto' stands there before training.
names = cell(0, 1);
for i = 1:numel(layers)
    settings = layers{i}.Settings;
    if isfield(settings, 'Classes') && iscell(settings.Classes)
        names = settings.Classes;
        return
    end
end
end
