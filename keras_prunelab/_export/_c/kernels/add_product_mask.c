/* One bit for each place, the lowest first and each row from a byte of its own, and the values where a bit is set.
   The lowest bit that is set, times 0x17, has its number in the upper three of eight bits, by way of a table. */
static void net_add_product_mask(const net_matrix *matrix, const net_value *restrict x, net_sum *restrict sums)
{
    static const uint8_t number[8] = {0, 1, 2, 4, 7, 3, 6, 5};
    const net_value *restrict value = matrix->values;
    const uint8_t *restrict mask = matrix->places;
    for (int row = 0; row < matrix->rows; ++row) {
        net_sum sum = 0;
        for (int column = 0; column < matrix->columns; column += 8) {
            for (unsigned bits = *mask++; bits; bits &= bits - 1) {
                const unsigned lowest = bits & (0U - bits);
                sum += (net_sum)*value++ * x[column + number[(lowest * 0x17U & 0xFFU) >> 5]];
            }
        }
        sums[row] += sum;
    }
}
