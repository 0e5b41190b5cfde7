/* A function of one value, as a table of what it gives for each of the 256. */
static void net_look_up(const int8_t *table, int count, const int8_t *x, int8_t *y)
{
    for (int i = 0; i < count; ++i) {
        y[i] = table[x[i] + 128];
    }
}
