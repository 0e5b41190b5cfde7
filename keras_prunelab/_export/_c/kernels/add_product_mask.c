/* One bit for each place, the lowest first and each row from a byte of its own, and the values where a bit is set. */
static void net_add_product_mask(const net_matrix *matrix, const net_value *restrict x, net_sum *restrict sums)
{
    const net_value *restrict value = matrix->values;
    const uint8_t *restrict mask = matrix->places;
    for (int row = 0; row < matrix->rows; ++row) {
        net_sum sum = 0;
        for (int column = 0; column < matrix->columns; column += 8) {
            const net_value *place = x + column;
            for (unsigned bits = *mask++; bits; bits >>= 1, ++place) {
                if (bits & 1U) {
                    sum += (net_sum)*value++ * *place;
                }
            }
        }
        sums[row] += sum;
    }
}
