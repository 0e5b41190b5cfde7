function ax = plotSweep(source)
%PLOTSWEEP Plot accuracy against sparsity.
%   PLOTSWEEP(FILE) plots a sweep that prunelab lab or
%   matlab_bridge.save_results wrote, such as 'results.mat': the accuracy in
%   percent against the sparsity in percent, a curve for each score (and for
%   each scope and training, where there are several), the dense network as a
%   dashed line, and the chosen point, where there is one, as a circle. The
%   points of several seeds are one, their mean. A sweep of another metric,
%   such as the root-mean-square error of a regression, shows that in its own
%   units.
%
%   PLOTSWEEP(RESULTS) plots the struct RESULTS = LOAD('results.mat').
%
%   AX = PLOTSWEEP(...) also returns the axes, to change what they show.
%
%   Needs no toolbox, and runs in GNU Octave too.
%
%   Example:
%      plotSweep('results.mat');
%      print('sweep.png', '-dpng', '-r200');
%
%   See also PLOTBLOCKS, APPLYPRUNEDWEIGHTS.

if nargin < 1
    error('plotSweep:noResults', 'Pass the name of a results file, such as plotSweep(''results.mat'').');
end
results = readResults(source, {'sweep', 'about'}, 'plotSweep');
sweep = results.sweep;
[metric, label, scale] = metricOf(sweep);
dense = scale * results.about.Dense;

figure;
hold on
colors = plotColors();
markers = 'osd^vp';
[names, members] = curvesOf(sweep);
for i = 1:numel(names)
    [x, y] = meanOfSeeds(sweep, metric, members{i});
    at = mod(i - 1, numel(markers)) + 1;
    style = {'-', 'Color', colors(at, :), 'LineWidth', 1.5};
    if numel(x) <= 40  % more of them would run together
        style = [style {'Marker', markers(at), 'MarkerSize', 5}]; %#ok<AGROW>
    end
    plot(100 * x, scale * y, style{:});
end
plot(100 * [min(sweep.Sparsity) max(sweep.Sparsity)], [dense dense], 'k--', 'LineWidth', 1);
names{end+1} = ['dense network, ' valueText(dense, scale)];
if isfield(results, 'choice')
    choice = results.choice;
    value = scale * choice.Accuracy;  % of whatever metric
    plot(100 * choice.Sparsity, value, 'ko', 'MarkerSize', 11, 'LineWidth', 1.8);
    names{end+1} = sprintf('choice: %s at %.1f %%, %s', ...
        choice.Score, 100 * choice.Sparsity, valueText(value, scale));
end
hold off
grid on
box on
xlabel('Sparsity (%)');
if scale == 100
    ylabel([label ' (%)']);
else
    ylabel(label);
end
title(titleOf(results.about, label), 'Interpreter', 'none');
if ~exist('OCTAVE_VERSION', 'builtin')
    corner = 'best';
elseif scale == 100  % Octave finds no free place; pruning lowers an accuracy and raises an error
    corner = 'southwest';
else
    corner = 'northwest';
end
legend(names, 'Location', corner, 'Interpreter', 'none');
if nargout > 0
    ax = gca;
end
end


function [metric, label, scale] = metricOf(sweep)
% The column of the metric, which follows the sparsity; its name in words; and 100 for a fraction.
columns = fieldnames(sweep);
metric = columns{find(strcmp('Sparsity', columns), 1) + 1};
if strcmp(metric, 'Rmse')
    label = 'Root-mean-square error';
else
    words = lower(regexprep(metric, '([a-z0-9])([A-Z])', '$1 $2'));
    label = [upper(words(1)) words(2:end)];
end
isFraction = ~isempty(regexpi(metric, 'acc|auc|precision|recall|iou|f1score|topk|fbeta', 'once'));
scale = 1 + 99 * isFraction;
end


function [names, members] = curvesOf(sweep)
% The curves in the order in which the sweep made them, and the rows of each.
labels = reshape(sweep.Score, [], 1);
for column = {'Scope', 'Training'}
    if isfield(sweep, column{1}) && numel(unique(sweep.(column{1}))) > 1
        labels = strcat(labels, {', '}, reshape(sweep.(column{1}), [], 1));
    end
end
[~, first] = unique(labels, 'first');
names = reshape(labels(sort(first)), 1, []);
members = cellfun(@(name) find(strcmp(name, labels)), names, 'UniformOutput', false);
end


function [x, y] = meanOfSeeds(sweep, metric, rows)
% The points of a curve with rising sparsity; those of all seeds at a level are one.
levels = sweep.Sparsity(rows);
if isfield(sweep, 'SparsityTarget')
    levels = sweep.SparsityTarget(rows);
end
[~, ~, level] = unique(levels(:));
count = accumarray(level(:), 1);
x = accumarray(level(:), reshape(sweep.Sparsity(rows), [], 1)) ./ count;
y = accumarray(level(:), reshape(sweep.(metric)(rows), [], 1)) ./ count;
end


function text = valueText(value, scale)
% A value as it is printed: 98.74 %, or four digits of an error.
if scale == 100
    text = sprintf('%.2f %%', value);
else
    text = sprintf('%.4g', value);
end
end


function line = titleOf(about, label)
% What is plotted, of which network, and how sparsity was counted; one line, as Octave with gnuplot draws no more.
line = [label ' against sparsity'];
if isfield(about, 'Details') && isfield(about.Details, 'Model') && ~isempty(about.Details.Model)
    line = [line ' of ' about.Details.Model];
end
line = [line ', convention ' about.Convention];
end
