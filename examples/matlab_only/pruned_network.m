% PRUNED_NETWORK  Prune a network that MATLAB saved, and look at the result in MATLAB alone.
%
% One command on any machine with Python writes what this script reads:
%
%   prunelab lab lab5.mat --out lab
%   prunelab toolbox prunelab-toolbox
%
% Copy both folders to the machine that has MATLAB. No Python is needed there. In GNU Octave, which has no networks, the
% first three parts run.

if ~exist('folder', 'var'), folder = 'lab'; end
if exist('prunelab-toolbox', 'dir'), addpath('prunelab-toolbox'); end

% What was measured, as a struct of columns; sweepTable is the same as a MATLAB table.
load(fullfile(folder, 'results.mat'), 'sweep', 'choice');
fprintf('%d points were measured. Chosen: %s at %.1f %% sparsity, accuracy %.1f %%.\n', ...
    numel(sweep.Sparsity), choice.Score, 100 * choice.Sparsity, 100 * choice.Accuracy);

% Accuracy against sparsity.
plotSweep(fullfile(folder, 'results.mat'));
print(fullfile(folder, 'plotSweep.png'), '-dpng', '-r150');

% What is left of each layer.
figure;
plotBlocks(fullfile(folder, 'results.mat'), 'layers');
print(fullfile(folder, 'plotBlocks.png'), '-dpng', '-r150');

% The pruned network itself, of the class that was saved.
if exist('OCTAVE_VERSION', 'builtin') == 0
    pruned = load(fullfile(folder, 'pruned.mat'));
    disp(pruned);
end
