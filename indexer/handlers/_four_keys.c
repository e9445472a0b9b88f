/* PBKDF2 with HMAC-SHA-1 up to four blocks of output at once, for where a compiler was at hand.

   The keys of a member of a WinZip AES archive are four blocks, each a chain of thousands of hashes, and none knows of
   the others: so they go side by side, one in each lane of a vector. hashlib, which does one behind the other, is used
   where this is not there, and gives the same bytes; tests hold the two together.

   Source: RFC 8018, 5.2 (PBKDF2); RFC 2104 (HMAC); FIPS 180-4, 6.1 (SHA-1). Only the stable C API is used. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#ifndef __GNUC__
#error "vectors of GCC and Clang are needed; hashlib does without"
#endif

typedef uint32_t Four __attribute__((vector_size(16)));

enum { LANES = 4, DIGEST = 20, BLOCK = 64, MOST_SALT = BLOCK - 9 - 4 };

#define TURN(x, n) ((x) << (n) | (x) >> (32 - (n)))

/* One block into the four states; the words of the block are used up. */
static inline __attribute__((always_inline)) void compress(Four state[5], Four words[16])
{
    Four a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
#pragma GCC unroll 80
    for (int round = 0; round < 80; round++) {
        Four mixed;
        uint32_t added;
        if (round < 20)
            mixed = d ^ (b & (c ^ d)), added = 0x5A827999;
        else if (round < 40)
            mixed = b ^ c ^ d, added = 0x6ED9EBA1;
        else if (round < 60)
            mixed = (b & c) | (d & (b | c)), added = 0x8F1BBCDC;
        else
            mixed = b ^ c ^ d, added = 0xCA62C1D6;
        Four *word = &words[round & 15];
        if (round >= 16) {
            Four next = words[(round + 13) & 15] ^ words[(round + 8) & 15] ^ words[(round + 2) & 15] ^ *word;
            *word = TURN(next, 1);
        }
        Four sum = TURN(a, 5) + mixed + e + *word + added;
        e = d, d = c, c = TURN(b, 30), b = a, a = sum;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

static void begin(Four state[5])
{
    static const uint32_t first[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    for (int each = 0; each < 5; each++)
        state[each] = (Four){0} + first[each];
}

static uint32_t read_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The state behind a key laid over a pad: what both hashes of HMAC begin with. */
static void lay(Four state[5], const uint8_t key[BLOCK], uint8_t pad)
{
    uint8_t mixed[BLOCK];
    Four words[16];
    for (int each = 0; each < BLOCK; each++)
        mixed[each] = key[each] ^ pad;
    for (int each = 0; each < 16; each++)
        words[each] = (Four){0} + read_word(mixed + 4 * each);
    begin(state);
    compress(state, words);
}

/* A digest in place of itself hashed behind a pad. */
static void chain(const Four start[5], Four digest[5])
{
    Four words[16] = {{0}};
    memcpy(words, digest, 5 * sizeof(Four));
    words[5] += 0x80000000;
    words[15] += (BLOCK + DIGEST) * 8;
    memcpy(digest, start, 5 * sizeof(Four));
    compress(digest, words);
}

PyDoc_STRVAR(derive_doc, "derive(password, salt, rounds, length): PBKDF2 with HMAC-SHA-1.\n\n"
                         "Up to 64 bytes of password, 51 of salt, 80 of key: ValueError beyond.");

static PyObject *derive(PyObject *self, PyObject *arguments)
{
    (void)self;
    const uint8_t *password, *salt;
    Py_ssize_t password_size, salt_size, length;
    unsigned int rounds;
    if (!PyArg_ParseTuple(arguments, "y#y#In", &password, &password_size, &salt, &salt_size, &rounds, &length))
        return NULL;
    if (password_size > BLOCK || salt_size > MOST_SALT || rounds < 1 || length < 0 || length > LANES * DIGEST) {
        PyErr_SetString(PyExc_ValueError, "more than four blocks, or a longer password or salt");
        return NULL;
    }
    uint8_t key[BLOCK] = {0}, message[BLOCK] = {0}, out[LANES * DIGEST];
    memcpy(key, password, (size_t)password_size);
    memcpy(message, salt, (size_t)salt_size);
    message[salt_size + 4] = 0x80;
    Four inner[5], outer[5], digest[5], sum[5], words[16];
    lay(inner, key, 0x36);
    lay(outer, key, 0x5C);
    for (uint8_t lane = 0; lane < LANES; lane++) {
        message[salt_size + 3] = lane + 1; /* the number of the block, behind the salt */
        for (int each = 0; each < 15; each++)
            words[each][lane] = read_word(message + 4 * each);
    }
    words[15] = (Four){0} + (uint32_t)((BLOCK + salt_size + 4) * 8);
    memcpy(digest, inner, sizeof digest);
    compress(digest, words);
    chain(outer, digest);
    memcpy(sum, digest, sizeof sum);
    Py_BEGIN_ALLOW_THREADS;
    for (unsigned int round = 1; round < rounds; round++) {
        chain(inner, digest);
        chain(outer, digest);
        for (int each = 0; each < 5; each++)
            sum[each] ^= digest[each];
    }
    Py_END_ALLOW_THREADS;
    for (int lane = 0; lane < LANES; lane++)
        for (int each = 0; each < 5; each++)
            for (int byte = 0; byte < 4; byte++)
                out[lane * DIGEST + 4 * each + byte] = (uint8_t)(sum[each][lane] >> (24 - 8 * byte));
    return PyBytes_FromStringAndSize((const char *)out, length);
}

static PyMethodDef functions[] = {
    {"derive", derive, METH_VARARGS, derive_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef keys = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_four_keys",
    .m_doc = "PBKDF2 with HMAC-SHA-1, four blocks at once.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__four_keys(void)
{
    return PyModule_Create(&keys);
}
