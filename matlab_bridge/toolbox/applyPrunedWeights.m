function [net, report] = applyPrunedWeights(net, source)
%APPLYPRUNEDWEIGHTS Put pruned weights, or masks, into a dlnetwork.
%   NET = APPLYPRUNEDWEIGHTS(NET, SOURCE) sets the learnables and the state of
%   the dlnetwork NET. SOURCE is one of
%      - the struct of a network, as NETWORKTOSTRUCT and matlab_bridge make it;
%      - a struct or table with the columns Layer, Parameter and Value, like
%        NET.Learnables or the variable masks of results.mat;
%      - the name of a .mat file that holds one of them.
%   A logical value is a mask: the learnable is multiplied by it, so that it
%   is zero where the mask is false. Any other value replaces the learnable.
%
%   Values belong together where the names of layer and parameter are equal
%   and the sizes are, singleton dimensions aside. A warning lists what is left.
%
%   [NET, REPORT] = APPLYPRUNEDWEIGHTS(NET, SOURCE) returns a struct in place of
%   the warning: NumApplied, the values that were set; NumZeros and
%   NumElements of these learnables; Unmatched, the values that fit nothing, each with
%   the reason; Untouched, the learnables for which there was no value.
%
%   Example:
%      net = applyPrunedWeights(net, 'results.mat');
%      accuracy = testnet(net, imdsValidation, 'accuracy');
%
%   See also NETWORKFROMSTRUCT, NETWORKTOSTRUCT, PLOTSWEEP.

if nargin < 2
    error('applyPrunedWeights:noSource', ...
        'Pass a dlnetwork and its new weights: applyPrunedWeights(net, source).');
end
values = columnsOf(source);
values.IsDone = false(size(values.Layer));

report = struct('NumApplied', 0, 'NumZeros', 0, 'NumElements', 0);
report.Unmatched = cell(0, 1);
report.Untouched = cell(0, 1);
[net.Learnables, values, report] = setRows(net.Learnables, values, report, true);
[net.State, values, report] = setRows(net.State, values, report, false);
for i = find(reshape(~values.IsDone, 1, []))
    report.Unmatched{end+1, 1} = sprintf('%s/%s: the network has no such parameter', ...
        values.Layer{i}, values.Parameter{i});
end

if nargout < 2
    notes = [report.Unmatched; ...
        cellfun(@(label) [label ': there is no value for it'], report.Untouched, 'UniformOutput', false)];
    if ~isempty(notes)
        warning('applyPrunedWeights:unmatched', 'Not everything matched:%s', sprintf('\n  %s', notes{:}));
    end
end
end


function [rows, values, report] = setRows(rows, values, report, areLearnables)
% Set the values of a table with the columns Layer, Parameter and Value.
owners = cellstr(rows.Layer);
parameters = cellstr(rows.Parameter);
contents = rows.Value;
for row = 1:numel(owners)
    label = [owners{row} '/' parameters{row}];
    at = find(strcmp(owners{row}, values.Layer) & strcmp(parameters{row}, values.Parameter), 1);
    if isempty(at)
        if areLearnables
            report.Untouched{end+1, 1} = label;
        end
        continue
    end
    new = values.Value{at};
    values.IsDone(at) = true;
    expected = size(contents{row});
    if ~isequal(trueSize(new), trueSize(contents{row}))
        report.Unmatched{end+1, 1} = sprintf('%s: size %s, but the network expects %s', ...
            label, mat2str(size(new)), mat2str(expected));
        continue
    end
    new = reshape(new, expected);
    if islogical(new)
        contents{row} = contents{row} .* single(new);
    else
        contents{row} = dlarray(single(new));
    end
    report.NumApplied = report.NumApplied + 1;
    if areLearnables
        report.NumElements = report.NumElements + numel(new);
        report.NumZeros = report.NumZeros + sum(~plainNumbers(contents{row}(:)));
    end
end
rows.Value = contents;
end


function values = columnsOf(source)
% The new values as a struct with the columns Layer, Parameter and Value.
if ischar(source) || isa(source, 'string')
    source = readSource(char(source));
end
values = struct();
if isDescription(source)
    values.Layer = cell(0, 1);
    values.Parameter = cell(0, 1);
    values.Value = cell(0, 1);
    for i = 1:numel(source.Layers)
        layer = source.Layers{i};
        for kind = {'Learnables', 'State'}
            for parameter = reshape(fieldnames(layer.(kind{1})), 1, [])
                value = layer.(kind{1}).(parameter{1});
                % An untrained layer has empty values: the network keeps its initial ones.
                if ~isempty(value)
                    values.Layer{end+1, 1} = layer.Name;
                    values.Parameter{end+1, 1} = parameter{1};
                    values.Value{end+1, 1} = value;
                end
            end
        end
    end
elseif isColumns(source)
    values.Layer = reshape(cellstr(source.Layer), [], 1);
    values.Parameter = reshape(cellstr(source.Parameter), [], 1);
    values.Value = reshape(source.Value, [], 1);
else
    error('applyPrunedWeights:notWeights', ...
        ['Expected the struct of a network, columns Layer, Parameter and Value, ' ...
        'or the name of a file with one of them, but got a value of class %s.'], class(source));
end
end


function source = readSource(file)
% The masks of a file, or else its first variable that describes a network.
contents = load(file);
names = fieldnames(contents);
names = [names(strcmp('masks', names)); names(~strcmp('masks', names))];
for i = 1:numel(names)
    source = contents.(names{i});
    if isDescription(source) || isColumns(source)
        return
    end
end
error('applyPrunedWeights:noWeights', ...
    ['The file %s holds neither masks nor the struct of a network. ' ...
    'Its variables are: %s.'], file, strjoin(reshape(names, 1, []), ', '));
end


function tf = isDescription(value)
tf = isstruct(value) && isfield(value, 'Format') && strcmp(value.Format, 'keras-prunelab network');
end


function tf = isColumns(value)
if isstruct(value)
    names = fieldnames(value);
elseif isa(value, 'table')
    names = value.Properties.VariableNames;
else
    names = {};
end
tf = all(ismember({'Layer', 'Parameter', 'Value'}, names));
end


function s = trueSize(value)
% The size without singleton dimensions: 1-by-1-by-8, 8-by-1 and 1-by-8 are eight numbers.
s = size(value);
s = s(s ~= 1);
end


function value = plainNumbers(value)
if isa(value, 'dlarray')
    value = extractdata(value);
end
if isa(value, 'gpuArray')
    value = gather(value);
end
end
