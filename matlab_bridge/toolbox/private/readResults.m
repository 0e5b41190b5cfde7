function results = readResults(source, needed, caller)
%READRESULTS Read the variables of a results file that a plot needs.
%   RESULTS = READRESULTS(SOURCE, NEEDED, CALLER) returns a struct with the
%   variables that SOURCE holds, the name of a file or a struct. Where one of
%   the cell array NEEDED is missing, it stops in the name of the function CALLER.
%
%   Example:
%      results = readResults('results.mat', {'sweep', 'about'}, 'plotSweep');
%
%   See also PLOTSWEEP, PLOTBLOCKS.

if isa(source, 'string')
    source = char(source);
end
if ischar(source)
    if ~exist(source, 'file')
        error([caller ':noFile'], 'There is no file ''%s'' in %s or on the path.', source, pwd);
    end
    % The tables and the masks stay in the file: a plot needs neither, and Octave has no tables.
    wanted = {'sweep', 'choice', 'about', 'layerStats', 'blockStats'};
    available = whos('-file', source);
    wanted = wanted(ismember(wanted, {available.name}));
    results = struct();
    if ~isempty(wanted)
        results = load(source, '-mat', wanted{:});
    end
else
    results = source;
end
if ~isstruct(results)
    error([caller ':notResults'], ...
        ['Expected the name of a results file, or the struct that load(''results.mat'') returns, ' ...
        'but got a value of class %s.'], class(results));
end
missing = needed(~isfield(results, needed));
if any(strcmp(missing, 'choice'))
    error([caller ':noChoice'], ...
        ['The results hold no chosen point. Write them with one: ' ...
        'matlab_bridge.save_results(path, result, choice=result.choose(...)).']);
end
if ~isempty(missing)
    error([caller ':notResults'], ...
        'Expected the variables %s, as matlab_bridge.save_results writes them; missing: %s.', ...
        strjoin(needed, ', '), strjoin(missing, ', '));
end
end
