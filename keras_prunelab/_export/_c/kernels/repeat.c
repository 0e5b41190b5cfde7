/* Each place of an image several times, below itself and side by side. */
static void net_repeat(int rows, int columns, int channels, int down, int across, const net_value *x, net_value *y)
{
    for (int row = 0; row < rows * down; ++row) {
        for (int column = 0; column < columns * across; ++column, y += channels) {
            const net_value *pixel = x + ((ptrdiff_t)(row / down) * columns + column / across) * channels;
            memcpy(y, pixel, (size_t)channels * sizeof *y);
        }
    }
}
