function colors = plotColors()
%PLOTCOLORS Colors that color-blind readers tell apart.
%   COLORS = PLOTCOLORS() returns six colors, a row of red, green and blue
%   each, from 0 to 1: Okabe and Ito 2008, Color Universal Design.
%
%   Example:
%      colors = plotColors();
%      plot(1:3, 'Color', colors(1, :));
%
%   See also PLOTSWEEP, PLOTBLOCKS.

colors = [0 114 178; 213 94 0; 0 158 115; 204 121 167; 138 109 0; 86 180 233] / 255;
end
