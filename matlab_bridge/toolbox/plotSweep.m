function ax = plotSweep(source)
%PLOTSWEEP Plot accuracy against sparsity.
%   PLOTSWEEP('results.mat') plots a sweep that matlab_bridge.save_results
%   wrote: the accuracy in percent against the sparsity in percent, a line for
%   each score, the dense network's accuracy as a dashed line, and the chosen
%   point, where there is one, as a circle. A sweep of a regression shows the
%   root-mean-square error instead.
%
%   PLOTSWEEP(RESULTS) plots the struct RESULTS = LOAD('results.mat').
%
%   AX = PLOTSWEEP(...) returns the axes.
%
%   Example:
%      plotSweep('results.mat');
%      print('sweep.png', '-dpng', '-r200');
%
%   See also APPLYPRUNEDWEIGHTS.

if nargin < 1
    error('plotSweep:noResults', 'Pass the name of a results file, such as plotSweep(''results.mat'').');
end
if ischar(source) || isa(source, 'string')
    wanted = {'sweep', 'choice', 'about'};
    available = whos('-file', char(source));
    wanted = wanted(ismember(wanted, {available.name}));
    source = load(char(source), '-mat', wanted{:});
end
if ~isstruct(source) || ~isfield(source, 'sweep') || ~isfield(source, 'about')
    error('plotSweep:notResults', ...
        'Expected the variables sweep and about, as matlab_bridge.save_results writes them.');
end

sweep = source.sweep;
if isfield(sweep, 'Accuracy')
    values = 100 * sweep.Accuracy;
    dense = 100 * source.about.Dense;
    label = 'Accuracy (%)';
else
    values = sweep.Rmse;
    dense = source.about.Dense;
    label = 'Root-mean-square error';
end
sparsity = 100 * sweep.Sparsity;

figure;
hold on
scores = unique(sweep.Score);
for i = 1:numel(scores)
    rows = find(strcmp(scores{i}, sweep.Score));
    [~, order] = sort(sparsity(rows));
    rows = rows(order);
    plot(sparsity(rows), values(rows), '.-');
end
plot([min(sparsity) max(sparsity)], [dense dense], 'k--');
names = [reshape(scores, 1, []) {'dense'}];
if isfield(source, 'choice')
    point = source.choice.Row;
    plot(sparsity(point), values(point), 'ko', 'MarkerSize', 10);
    names{end+1} = sprintf('choice: %s, %.1f %%', source.choice.Score, 100 * source.choice.Sparsity);
end
hold off
grid on
xlabel('Sparsity (%)');
ylabel(label);
title(sprintf('Convention: %s', source.about.Convention), 'Interpreter', 'none');
legend(names, 'Location', 'southwest', 'Interpreter', 'none');
if nargout > 0
    ax = gca;
end
end
