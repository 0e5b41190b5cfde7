/* Rows of `width` values into rows of `y_width`. */
static void net_copy_rows(int rows, int width, const net_value *x, int y_width, net_value *y)
{
    for (int row = 0; row < rows; ++row, x += width, y += y_width) {
        memcpy(y, x, (size_t)width * sizeof *y);
    }
}
