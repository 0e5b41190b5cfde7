function ax = plotBlocks(source, level)
%PLOTBLOCKS Plot what pruning leaves of each block or layer.
%   PLOTBLOCKS(FILE) plots the chosen point of a sweep that prunelab lab or
%   matlab_bridge.save_results wrote, such as 'results.mat', a bar for each
%   block of layers, early to late. On the left is the sparsity in percent,
%   with that of the whole network as a dashed line; on the right are the
%   multiply-adds for one observation, the kept part of each bar dark and
%   the pruned part pale. A block whose multiply-adds cannot be counted has
%   no bar on the right.
%
%   PLOTBLOCKS(FILE, LEVEL) plots 'blocks' (the default) or 'layers'.
%
%   PLOTBLOCKS(RESULTS, ...) plots the struct RESULTS = LOAD('results.mat').
%
%   AX = PLOTBLOCKS(...) also returns the two axes, to change what they show.
%
%   Needs no toolbox, and runs in GNU Octave too.
%
%   Example:
%      plotBlocks('results.mat', 'layers');
%      print('layers.png', '-dpng', '-r200');
%
%   See also PLOTSWEEP, APPLYPRUNEDWEIGHTS.

if nargin < 1
    error('plotBlocks:noResults', 'Pass the name of a results file, such as plotBlocks(''results.mat'').');
end
if nargin < 2
    level = 'blocks';
end
level = char(level);
switch level
    case 'blocks'
        columns = {'blockStats', 'Block'};
    case 'layers'
        columns = {'layerStats', 'Layer'};
    otherwise
        error('plotBlocks:unknownLevel', 'Expected ''blocks'' or ''layers'', but got ''%s''.', level);
end
results = readResults(source, {'choice', columns{1}}, 'plotBlocks');
stats = results.(columns{1});
names = reshape(cellstr(stats.(columns{2})), 1, []);
count = numel(names);
choice = results.choice;
colors = plotColors();
faint = [0.82 0.84 0.87];

% High enough for the names, which stand once, left of both axes.
figure('Position', [100 100 860 min(900, 240 + 18 * count)]);
names = cellfun(@shortName, names, 'UniformOutput', false);
left = 0.04 + 0.0095 * max([0 cellfun(@numel, names)]);
width = (0.94 - left) / 2;
sparsityAxes = axes('Position', [left 0.16 width 0.74]);
barh(1:count, 100 * stats.Sparsity(:), 'FaceColor', colors(1, :), 'EdgeColor', 'none');
hold on
plot(100 * [choice.Sparsity choice.Sparsity], [0.4 count + 0.6], 'k--', 'LineWidth', 1);
hold off
nameBars(names);
set(gca, 'XLim', [0 100], 'XTick', 0:20:100);
if count <= 40  % more numbers would run together
    set(gca, 'XLim', [0 125]);
    for i = 1:count
        text(103, i, sprintf('%.1f', 100 * stats.Sparsity(i)), 'FontSize', 9);
    end
end
xlabel('Sparsity (%)');
title(sprintf('%s, %.1f %% sparse in all', choice.Score, 100 * choice.Sparsity), 'Interpreter', 'none');

macsAxes = axes('Position', [left + width + 0.03, 0.16, width, 0.74]);
[unit, divisor] = unitOf(max([stats.Macs(:); 0]));
kept = stats.MacsKept(:) / divisor;
pruned = stats.Macs(:) / divisor - kept;
% Two bars that share their base, as a stacked bar is a curve of its own for a single block.
barh(1:count, kept + pruned, 'FaceColor', faint, 'EdgeColor', 'none');
hold on
barh(1:count, kept, 'FaceColor', colors(3, :), 'EdgeColor', 'none');
hold off
nameBars(repmat({''}, 1, count));
counted = ~isnan(kept);
xlabel(['Multiply-adds for one observation' unit]);
title(sprintf('%.1f %% of multiply-adds kept (dark)', ...
    100 * sum(kept(counted)) / max(sum(kept(counted) + pruned(counted)), eps)));
if nargout > 0
    ax = [sparsityAxes macsAxes];
end
end


function nameBars(names)
% The names of the bars, the first on top; of very many, some.
count = numel(names);
shown = 1:ceil(count / 40):count;
labels = names(shown);
if exist('OCTAVE_VERSION', 'builtin') && strcmp(graphics_toolkit(), 'gnuplot')
    for special = '\_^{}@&~'  % gnuplot reads its own markup in them, whatever the interpreter
        labels = strrep(labels, special, ['\\' special]);
    end
end
set(gca, 'YDir', 'reverse', 'YLim', [0.4 count + 0.6], 'YTick', shown, 'YTickLabel', labels, ...
    'TickLabelInterpreter', 'none');
set(gca, 'XGrid', 'on', 'YGrid', 'off');
end


function name = shortName(name)
% A name that fits beside the axes: of a long one, its beginning and its end.
if numel(name) > 30
    name = [name(1:14) '...' name(end-12:end)];
end
end


function [unit, divisor] = unitOf(largest)
% In what multiply-adds are counted, so that the axis has small numbers.
units = {'', ' (thousands)', ' (millions)', ' (billions)'};
power = min(3, max(0, floor(log10(max(largest, 1)) / 3)));
unit = units{power + 1};
divisor = 1000 ^ power;
end
