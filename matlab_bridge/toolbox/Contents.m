% Keras-PruneLab toolbox
% Version 0.1.0 29-Nov-2026
%
% Results of pruning in MATLAB and GNU Octave, without Python.
%
% Results of a sweep (results.mat of prunelab lab)
%   plotSweep          - Plot accuracy against sparsity.
%   plotBlocks         - Plot what pruning leaves of each block or layer.
%
% Networks
%   applyPrunedWeights - Put pruned weights, or masks, into a dlnetwork.
%   networkFromStruct  - Build a dlnetwork from the struct that describes it.
%   networkToStruct    - Describe a deep learning network as a plain struct.
%
% The plots need no toolbox and run in GNU Octave too. The others need Deep
% Learning Toolbox, R2019b or newer.
%
% Example:
%   addpath('C:\Users\me\prunelab-toolbox'); savepath
%   plotSweep('lab\results.mat');
%   plotBlocks('lab\results.mat', 'layers');
