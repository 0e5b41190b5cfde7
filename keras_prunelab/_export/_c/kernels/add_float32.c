/* `other` may be shorter: it then counts again and again. */
static void net_add(int count, const float *x, int other_count, const float *other, float *y)
{
    for (int i = 0; i < count; ++i) {
        y[i] = x[i] + other[i % other_count];
    }
}
