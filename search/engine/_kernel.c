/* The inner loops of building and reading a segment, for where a compiler was at hand.

   Whatever is here is also in arrays (arrays.py, codes.py), which work alone; tests hold the two to the same bytes.

   Inverter   texts of one field to lists of places:

       text --codes--> units --intern--> terms[]    one Term for each distinct term
                                  |      slots[]    open addressing, at most half full
                                  v      arena[]    bytes of terms of more than two characters, and of named ones
                               log[]                one Entry for each token, as they come: term, place
                               passages[]           one for each text: document, places, script, first entry of log

       sort       terms by their bytes, then the log counted out into one row of values, a term's list after the other

   encode, decode   ascending numbers in few bits; the code is described in codes.py

   Only the stable C API and buffers are used. Sizes are checked where they are summed, numbers from outside (tables,
   lists, bits) where they are taken. Hashes are salted: nobody can write a text of which all words meet in one slot.
*/

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { VERSION = 1 }; /* rises with whatever Python sees of this; codes.py takes no other */
enum { GAP = 1, LF, CR, WORD, DIGIT, RUN, UNEVEN, MARK }; /* tokens.py */
enum { CODES = 0x110000, LONGEST = 128, MOST_NAME = 4096, SCRIPTS = 8, WAITING = 32 };
enum { OTHER, AFTER_RUN, RUN_LF, RUN_CR, RUN_CRLF }; /* what lies between the last run and here */

typedef struct {
    uint64_t key; /* hash of the bytes; or SHORT | two characters */
    uint64_t at;  /* in the arena */
    uint32_t size;
} Term;

typedef struct {
    uint64_t key;
    uint32_t term; /* its number + 1; 0 where the slot is free */
} Slot;

typedef struct {
    uint32_t count, documents, last, next; /* last: document + 1; next: where its next value goes */
} Tally;

typedef struct {
    uint32_t term, place;
} Entry;

typedef struct {
    uint32_t document, places, script, entry;
} Passage;

typedef struct {
    char *data;
    size_t used, room; /* bytes */
} Pool;

typedef struct {
    PyObject_HEAD
    Py_buffer cases;
    int split, open;
    uint64_t salt;
    Slot *slots;
    size_t slot_count;
    Pool terms, arena, log, passages;
    /* the text that is being taken */
    unsigned char name[MOST_NAME + 1];
    size_t name_size;
    uint32_t place, document;
    uint32_t scripts[SCRIPTS];
    uint64_t keys[WAITING]; /* short terms, and where they stand */
    uint32_t places[WAITING];
    size_t waiting;
} Inverter;

#define SHORT (1ULL << 63)
#define TERMS(self) ((Term *)(self)->terms.data)
#define TERM_COUNT(self) ((self)->terms.used / sizeof(Term))
#define ENTRIES(self) ((Entry *)(self)->log.data)
#define PASSAGES(self) ((Passage *)(self)->passages.data)

/* -- memory */

static void *append(Pool *pool, size_t size)
{
    if (pool->room - pool->used < size) {
        size_t room = pool->room + pool->room / 2 + size + 4096;
        char *data = room > PY_SSIZE_T_MAX ? NULL : PyMem_RawRealloc(pool->data, room);
        if (!data) {
            PyErr_NoMemory();
            return NULL;
        }
        pool->data = data;
        pool->room = room;
    }
    pool->used += size;
    return pool->data + pool->used - size;
}

static void empty(Pool *pool)
{
    PyMem_RawFree(pool->data);
    memset(pool, 0, sizeof *pool);
}

/* -- terms */

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const unsigned char *data, size_t size, uint64_t salt)
{
    uint64_t word, sum = salt ^ size;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        sum = mix(sum ^ word, salt | 1);
    }
    word = 0;
    memcpy(&word, data, size);
    return mix(mix(sum ^ word, salt | 1), 0x9E3779B97F4A7C15ULL);
}

static size_t put_utf8(unsigned char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (unsigned char)(0xC0 | code >> 6);
        out[1] = (unsigned char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (unsigned char)(0xE0 | code >> 12);
        out[1] = (unsigned char)(0x80 | (code >> 6 & 63));
        out[2] = (unsigned char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (unsigned char)(0xF0 | code >> 18);
    out[1] = (unsigned char)(0x80 | (code >> 12 & 63));
    out[2] = (unsigned char)(0x80 | (code >> 6 & 63));
    out[3] = (unsigned char)(0x80 | (code & 63));
    return 4;
}

/* The bytes of a term, in `room` of 8 bytes where it is short. */
static const unsigned char *bytes_of(const Inverter *self, const Term *term, unsigned char *room, size_t *size)
{
    if (!(term->key & SHORT)) {
        *size = term->size;
        return (unsigned char *)self->arena.data + term->at;
    }
    *size = put_utf8(room, (uint32_t)(term->key >> 21 & 0x1FFFFF));
    if (term->key & 0x1FFFFF)
        *size += put_utf8(room + *size, (uint32_t)(term->key & 0x1FFFFF));
    return room;
}

static size_t slot_of(const Inverter *self, uint64_t key) { return mix(key, self->salt | 1) & (self->slot_count - 1); }

static int widen(Inverter *self)
{
    size_t count = self->slot_count ? self->slot_count * 2 : 1 << 12;
    Slot *slots = PyMem_RawCalloc(count, sizeof *slots);
    if (!slots) {
        PyErr_NoMemory();
        return -1;
    }
    self->slot_count = count;
    for (size_t at = 0; at < TERM_COUNT(self); at++) {
        size_t slot = slot_of(self, TERMS(self)[at].key);
        while (slots[slot].term)
            slot = (slot + 1) & (count - 1);
        slots[slot] = (Slot){TERMS(self)[at].key, (uint32_t)at + 1};
    }
    PyMem_RawFree(self->slots);
    self->slots = slots;
    return 0;
}

/* Log that the term of this key, and of these bytes where it is not short, stands at a place of the text. */
static int keep_term(Inverter *self, uint64_t key, const unsigned char *data, size_t size, uint32_t place)
{
    if (TERM_COUNT(self) * 2 >= self->slot_count && widen(self) < 0)
        return -1;
    Slot *slot = self->slots + slot_of(self, key), *last = self->slots + self->slot_count - 1;
    for (; slot->term; slot = slot < last ? slot + 1 : self->slots) {
        const Term *term = TERMS(self) + slot->term - 1;
        if (slot->key == key && (key & SHORT || (term->size == size && !memcmp(self->arena.data + term->at, data, size))))
            break;
    }
    if (!slot->term) {
        if (TERM_COUNT(self) >= UINT32_MAX - 1) {
            PyErr_SetString(PyExc_OverflowError, "too many terms");
            return -1;
        }
        size_t at = self->arena.used;
        char *copy = size ? append(&self->arena, size) : NULL;
        if (size && !copy)
            return -1;
        if (size)
            memcpy(copy, data, size);
        Term *term = append(&self->terms, sizeof *term);
        if (!term)
            return -1;
        *term = (Term){key, at, (uint32_t)size};
        *slot = (Slot){key, (uint32_t)TERM_COUNT(self)};
    }
    Entry *entry = append(&self->log, sizeof *entry);
    if (!entry)
        return -1;
    *entry = (Entry){slot->term - 1, place};
    return 0;
}

/* Keep the short terms that wait; what they need is fetched from memory for all of them at the same time. */
static int keep_waiting(Inverter *self)
{
    for (size_t at = 0; self->slots && at < self->waiting; at++)
        __builtin_prefetch(self->slots + slot_of(self, self->keys[at]));
    size_t count = self->waiting;
    self->waiting = 0;
    for (size_t at = 0; at < count; at++)
        if (keep_term(self, self->keys[at], NULL, 0, self->places[at]) < 0)
            return -1;
    return 0;
}

/* Log that the term of these characters stands at a place of the text. */
static int keep(Inverter *self, const uint32_t *chars, size_t count, uint32_t place)
{
    if (count <= 2 && !self->name_size) {
        self->keys[self->waiting] = SHORT | (uint64_t)chars[0] << 21 | (count > 1 ? chars[1] : 0);
        self->places[self->waiting++] = place;
        return self->waiting < WAITING ? 0 : keep_waiting(self);
    }
    unsigned char data[MOST_NAME + 1 + 4 * LONGEST];
    size_t size = self->name_size;
    memcpy(data, self->name, size);
    for (size_t at = 0; at < count; at++)
        size += put_utf8(data + size, chars[at]);
    return keep_term(self, hash(data, size, self->salt) & ~SHORT, data, size, place);
}

/* -- texts */

/* A word of names: its parts, its runs of letters, itself (analysis.py, rule 5). The places it takes, or -1. */
static long keep_parts(Inverter *self, const uint32_t *chars, const unsigned char *units, const unsigned char *cases,
                       size_t count)
{
    uint32_t place = self->place, spans = 0, last_part = place;
    for (size_t start = 0; start < count; spans++) { /* letters, or digits */
        size_t end = start, part = start;
        uint32_t first = place;
        while (end < count && units[end] == units[start])
            end++;
        for (size_t at = start + 1; at <= end; at++) {
            int capital = at < end && cases[at] == 2 &&
                          (cases[at - 1] == 1 || (cases[at - 1] == 2 && at + 1 < end && cases[at + 1] == 1));
            if (at < end && !capital)
                continue;
            last_part = place;
            if (keep(self, chars + part, at - part, place++) < 0)
                return -1;
            part = at;
        }
        if (place - first > 1 && (keep(self, chars + start, end - start, first) < 0 ||
                                  keep(self, chars + start, end - start, place - 1) < 0))
            return -1;
        start = end;
    }
    if (spans > 1 && (keep(self, chars, count, self->place) < 0 || keep(self, chars, count, last_part) < 0))
        return -1;
    return (long)(place - self->place);
}

/* Take the tokens of a text of which every character is known and even. */
static int keep_text(Inverter *self, const uint32_t *codes, int kind, const void *data, Py_ssize_t size)
{
    const unsigned char *case_of = self->cases.buf;
    uint32_t word[LONGEST], last[2] = {0, 0};
    unsigned char units[LONGEST], cases[LONGEST];
    size_t length = 0;
    int between = OTHER;
    for (Py_ssize_t at = 0; at <= size; at++) {
        uint32_t of = at < size ? PyUnicode_READ(kind, data, at) : 0;
        uint32_t found = at < size ? codes[of] : GAP << 24;
        uint32_t code = found & 0x1FFFFF, unit = found >> 24;
        int in_word = unit == WORD || unit == DIGIT;
        if (length && (!in_word || length == LONGEST)) { /* a word ends */
            long taken = 1;
            if (self->split)
                taken = keep_parts(self, word, units, cases, length);
            else if (keep(self, word, length, self->place) < 0)
                taken = -1;
            if (taken < 0)
                return -1;
            self->place += (uint32_t)taken;
            length = 0;
        }
        if (unit != RUN && between == AFTER_RUN) { /* a run ends */
            if (keep(self, last, 1, self->place - 1) < 0)
                return -1;
            between = unit == LF ? RUN_LF : unit == CR ? RUN_CR : OTHER;
        } else if (unit != RUN)
            between = between == RUN_CR && unit == LF ? RUN_CRLF : OTHER;
        if (in_word) {
            if (!length)
                self->scripts[found >> 21 & 7]++;
            word[length] = code;
            units[length] = (unsigned char)unit;
            cases[length++] = case_of[of];
        } else if (unit == RUN) {
            self->scripts[found >> 21 & 7]++;
            last[1] = code;
            if (between == AFTER_RUN || between == RUN_LF || between == RUN_CRLF)
                if (keep(self, last, 2, self->place - 1) < 0)
                    return -1;
            last[0] = code;
            self->place++;
            between = AFTER_RUN;
        }
    }
    return 0;
}

static Passage *begin(Inverter *self, unsigned long document, const char *name, Py_ssize_t name_size)
{
    if (!self->open || document >= UINT32_MAX || name_size > MOST_NAME ||
        self->log.used / sizeof(Entry) > UINT32_MAX / 2) {
        PyErr_SetString(PyExc_OverflowError, "the segment is full, or the name too long");
        return NULL;
    }
    if (name) {
        memcpy(self->name, name, (size_t)name_size);
        self->name[name_size] = 0;
    }
    self->name_size = name ? (size_t)name_size + 1 : 0;
    self->document = (uint32_t)document;
    self->place = 0;
    memset(self->scripts, 0, sizeof self->scripts);
    Passage *passage = append(&self->passages, sizeof *passage);
    if (passage)
        *passage = (Passage){self->document, 0, 0, (uint32_t)(self->log.used / sizeof(Entry))};
    return passage;
}

static PyObject *finish(Inverter *self)
{
    if (keep_waiting(self) < 0)
        return NULL;
    Passage *passage = PASSAGES(self) + self->passages.used / sizeof(Passage) - 1;
    passage->places = self->place;
    uint32_t most = 0, total = 0;
    for (uint32_t at = 0; at < SCRIPTS; at++) {
        total += self->scripts[at];
        if (self->scripts[at] > self->scripts[most])
            most = at;
    }
    passage->script = self->scripts[SCRIPTS - 1] > total / 8 ? SCRIPTS - 1 : most; /* tokens.script_of */
    return PyBool_FromLong(1);
}

PyDoc_STRVAR(add_doc, "add(codes, text, document, name)\n--\n\n\
Whether the text was taken: not where the table of codes does not fold each of its characters to one.");

static PyObject *add(Inverter *self, PyObject *args)
{
    PyObject *text, *taken = NULL;
    Py_buffer table;
    unsigned long document;
    const char *name;
    Py_ssize_t name_size;
    if (!PyArg_ParseTuple(args, "y*Ukz#", &table, &text, &document, &name, &name_size))
        return NULL;
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    const uint32_t *codes = table.buf;
    if (table.len != CODES * 4 || (size_t)size > UINT32_MAX / 4) {
        PyErr_SetString(PyExc_ValueError, "the text is too long, or the table has not an entry for each code point");
        goto end;
    }
    for (Py_ssize_t at = 0; at < size; at++) {
        uint32_t unit = codes[PyUnicode_READ(kind, data, at)] >> 24;
        if (!unit || unit >= UNEVEN) {
            taken = PyBool_FromLong(0);
            goto end;
        }
    }
    if (begin(self, document, name, name_size) && keep_text(self, codes, kind, data, size) == 0)
        taken = finish(self);
end:
    PyBuffer_Release(&table);
    return taken;
}

PyDoc_STRVAR(add_terms_doc, "add_terms(terms, places, size, document, name)\n--\n\n\
Take a text as terms with ascending places below `size`.");

static PyObject *add_terms(Inverter *self, PyObject *args)
{
    PyObject *terms, *places;
    unsigned long size, document;
    const char *name;
    Py_ssize_t name_size;
    uint32_t chars[LONGEST];
    if (!PyArg_ParseTuple(args, "O!O!kkz#", &PyList_Type, &terms, &PyList_Type, &places, &size, &document, &name,
                          &name_size))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(terms);
    if (PyList_GET_SIZE(places) != count || size > UINT32_MAX / 4) {
        PyErr_SetString(PyExc_ValueError, "each term has one place");
        return NULL;
    }
    if (!begin(self, document, name, name_size))
        return NULL;
    for (Py_ssize_t at = 0; at < count; at++) {
        PyObject *term = PyList_GET_ITEM(terms, at);
        unsigned long place = PyLong_AsUnsignedLong(PyList_GET_ITEM(places, at));
        if (PyErr_Occurred())
            return NULL;
        Py_ssize_t length = PyUnicode_Check(term) ? PyUnicode_GET_LENGTH(term) : 0;
        if (length < 1 || length > LONGEST || place >= size) {
            PyErr_SetString(PyExc_ValueError, "no such term or place");
            return NULL;
        }
        for (Py_ssize_t each = 0; each < length; each++)
            chars[each] = PyUnicode_READ_CHAR(term, each);
        if (keep(self, chars, (size_t)length, (uint32_t)place) < 0)
            return NULL;
    }
    self->place = (uint32_t)size;
    return finish(self);
}

PyDoc_STRVAR(passages_doc, "passages()\n--\n\n\
For each text taken: document, places, script, first token; uint32, in bytes.");

static PyObject *passages(Inverter *self, PyObject *Py_UNUSED(none))
{
    return PyBytes_FromStringAndSize(self->passages.data, (Py_ssize_t)self->passages.used);
}

typedef struct {
    uint64_t head; /* the first eight bytes, as they order */
    uint32_t term;
} Ranked;

static const Inverter *sorted; /* of which by_bytes compares terms; the interpreter's lock is held */

static int by_bytes(const void *one, const void *other)
{
    const Ranked *a = one, *b = other;
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    unsigned char rooms[2][8];
    size_t first, second;
    const unsigned char *left = bytes_of(sorted, TERMS(sorted) + a->term, rooms[0], &first);
    const unsigned char *right = bytes_of(sorted, TERMS(sorted) + b->term, rooms[1], &second);
    int order = memcmp(left, right, first < second ? first : second);
    return order ? order : (first > second) - (first < second);
}

static Ranked *rank(Inverter *self)
{
    size_t count = TERM_COUNT(self);
    Ranked *ranked = PyMem_RawMalloc((count + 1) * sizeof *ranked);
    if (!ranked) {
        PyErr_NoMemory();
        return NULL;
    }
    for (size_t at = 0; at < count; at++) {
        unsigned char room[8];
        size_t size;
        const unsigned char *data = bytes_of(self, TERMS(self) + at, room, &size);
        ranked[at] = (Ranked){0, (uint32_t)at};
        for (size_t each = 0; each < 8; each++)
            ranked[at].head = ranked[at].head << 8 | (each < size ? data[each] : 0);
    }
    sorted = self;
    qsort(ranked, count, sizeof *ranked, by_bytes);
    return ranked;
}

PyDoc_STRVAR(sort_doc, "sort(order)\n--\n\n\
The terms in order, a line feed after each, their sizes, counts, and documents, and the lists, all uint32 but the\n\
terms, in bytes. `order` are the texts by number, uint32, as their places are to follow each other.\n\
Nothing can be taken after this.");

static PyObject *sort(Inverter *self, PyObject *args)
{
    Py_buffer order;
    if (!PyArg_ParseTuple(args, "y*", &order))
        return NULL;
    const uint32_t *turn = order.buf;
    size_t texts = self->passages.used / sizeof(Passage), entries = self->log.used / sizeof(Entry);
    size_t count = TERM_COUNT(self), size = 0;
    PyObject *out[5] = {NULL}, *told = NULL;
    Ranked *ranked = NULL;
    Tally *tally = PyMem_RawCalloc(count + 1, sizeof *tally);
    char *seen = PyMem_RawCalloc(texts + 1, 1);
    int good = seen && tally && self->open && (size_t)order.len == texts * sizeof *turn;
    for (size_t at = 0; good && at < texts; at++) {
        good = turn[at] < texts && !seen[turn[at]];
        if (good)
            seen[turn[at]] = 1;
    }
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "each text stands once in the order"); /* or there is no memory */
        goto end;
    }
    if (!(ranked = rank(self)))
        goto end;
    for (size_t at = 0; at < count; at++) {
        unsigned char room[8];
        size_t each;
        bytes_of(self, TERMS(self) + at, room, &each);
        size += each + 1;
    }
    out[0] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    for (int at = 1; at < 5; at++)
        out[at] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((at < 4 ? count : entries) * 4));
    if (!out[0] || !out[1] || !out[2] || !out[3] || !out[4])
        goto end;
    unsigned char *terms = (unsigned char *)PyBytes_AS_STRING(out[0]);
    uint32_t *sizes = (uint32_t *)PyBytes_AS_STRING(out[1]), *counts = (uint32_t *)PyBytes_AS_STRING(out[2]);
    uint32_t *documents = (uint32_t *)PyBytes_AS_STRING(out[3]), *values = (uint32_t *)PyBytes_AS_STRING(out[4]);
    const Passage *passage = PASSAGES(self);
    for (size_t entry = 0, left = texts; entry < entries; entry++) {
        for (; left > 1 && passage[1].entry <= entry; left--)
            passage++;
        Tally *of = tally + ENTRIES(self)[entry].term;
        of->count++;
        of->documents += of->last != passage->document + 1;
        of->last = passage->document + 1;
    }
    uint32_t next = 0;
    for (size_t at = 0; at < count; at++) {
        Tally *of = tally + ranked[at].term;
        unsigned char room[8];
        size_t each;
        const unsigned char *data = bytes_of(self, TERMS(self) + ranked[at].term, room, &each);
        memcpy(terms, data, each);
        terms[each] = '\n';
        terms += each + 1;
        sizes[at] = (uint32_t)each + 1;
        counts[at] = of->count;
        documents[at] = of->documents;
        of->next = next;
        next += of->count;
    }
    uint32_t base = 0;
    for (size_t at = 0; at < texts; at++) {
        passage = PASSAGES(self) + turn[at];
        size_t end = turn[at] + 1 < texts ? passage[1].entry : entries;
        for (size_t entry = passage->entry; entry < end; entry++)
            values[tally[ENTRIES(self)[entry].term].next++] = ENTRIES(self)[entry].place + base;
        base += passage->places;
    }
    self->open = 0;
    empty(&self->log);
    empty(&self->arena);
    told = Py_BuildValue("OOOOO", out[0], out[1], out[2], out[3], out[4]);
end:
    PyMem_RawFree(seen);
    PyMem_RawFree(tally);
    PyMem_RawFree(ranked);
    for (int at = 0; at < 5; at++)
        Py_XDECREF(out[at]);
    PyBuffer_Release(&order);
    return told;
}

static int start(Inverter *self, PyObject *args, PyObject *Py_UNUSED(names))
{
    unsigned long long salt;
    PyObject *cases;
    if (self->cases.buf) {
        PyErr_SetString(PyExc_RuntimeError, "it is made once");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "OpK", &cases, &self->split, &salt) ||
        PyObject_GetBuffer(cases, &self->cases, PyBUF_SIMPLE) < 0)
        return -1;
    if (self->cases.len != CODES) {
        PyErr_SetString(PyExc_ValueError, "a table has one entry for each code point");
        return -1;
    }
    self->salt = salt;
    self->open = 1;
    return append(&self->arena, 1) ? 0 : -1; /* so that it is somewhere */
}

static void end(Inverter *self)
{
    Pool *pools[] = {&self->terms, &self->arena, &self->log, &self->passages};
    for (int at = 0; at < 4; at++)
        empty(pools[at]);
    PyMem_RawFree(self->slots);
    PyBuffer_Release(&self->cases);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef inverter_methods[] = {
    {"add", (PyCFunction)add, METH_VARARGS, add_doc},
    {"add_terms", (PyCFunction)add_terms, METH_VARARGS, add_terms_doc},
    {"passages", (PyCFunction)passages, METH_NOARGS, passages_doc},
    {"sort", (PyCFunction)sort, METH_VARARGS, sort_doc},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject inverter_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "search.engine._kernel.Inverter",
    .tp_doc = "Inverter(cases, split, salt): the texts of one field, until they are sorted.",
    .tp_basicsize = sizeof(Inverter),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)start,
    .tp_dealloc = (destructor)end,
    .tp_methods = inverter_methods,
};

/* -- lists in bits */

/* Between what a number lies: `low`, and how many numbers it can be; 0 where there is none. */
typedef struct {
    int64_t low;
    uint64_t range;
} Room;

#define ROOM(at, list, j, s, n, universe)                                                                   \
    Room at;                                                                                                \
    {                                                                                                       \
        int64_t left_ = (j) > (s) ? (int64_t)(list)[(j) - (s)-1] : -1;                                      \
        int64_t right_ = (j) + (s) <= (n) ? (int64_t)(list)[(j) + (s)-1] : (universe);                      \
        int64_t ahead_ = (j) + (s) <= (n) ? (s) : (n) + 1 - (j);                                            \
        at.low = left_ + (s);                                                                               \
        at.range = right_ - ahead_ >= at.low ? (uint64_t)(right_ - ahead_ - at.low + 1) : 0;                \
    }

static unsigned floor_log(uint64_t number) { return 63 - (unsigned)__builtin_clzll(number); }

typedef struct {
    unsigned char *data;
    size_t at;
    uint64_t held;
    unsigned count;
} Bits;

static void put(Bits *bits, uint64_t value, unsigned width)
{
    bits->held |= value << bits->count;
    bits->count += width;
    while (bits->count >= 8) {
        bits->data[bits->at++] = (unsigned char)bits->held;
        bits->held >>= 8;
        bits->count -= 8;
    }
}

static int encode_list(Bits *bits, const uint32_t *list, int64_t n, int64_t universe)
{
    if (n == 1 && list[0] < universe) {
        put(bits, list[0], universe > 1 ? floor_log((uint64_t)universe - 1) + 1 : 0);
        return 0;
    }
    for (int64_t s = n ? 1LL << floor_log((uint64_t)n) : 0; s; s >>= 1)
        for (int rest = 0; rest < 2; rest++)
            for (int64_t j = s; j <= n; j += 2 * s) {
                ROOM(room, list, j, s, n, universe)
                uint64_t x = (uint64_t)((int64_t)list[j - 1] - room.low);
                if (x >= room.range)
                    return -1;
                unsigned width = floor_log(room.range);
                uint64_t even = (2ULL << width) - room.range;
                if (!rest)
                    put(bits, x < even ? x : (x + even) >> 1, width);
                else if (x >= even)
                    put(bits, (x + even) & 1, 1);
            }
    return 0;
}

PyDoc_STRVAR(encode_doc, "encode(values, counts, universe, step)\n--\n\n\
The lists of values (uint32), as many in each as `counts` (int64) says, in bits; and the bits of each list (int64).");

static PyObject *encode(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer values, counts;
    long long universe, step;
    if (!PyArg_ParseTuple(args, "y*y*LL", &values, &counts, &universe, &step))
        return NULL;
    const uint32_t *list = values.buf;
    const int64_t *count = counts.buf;
    size_t lists = (size_t)counts.len / 8, total = (size_t)values.len / 4;
    int good = universe >= 0 && universe <= 1LL << 32 && step > 0;
    for (size_t at = 0; good && at < lists; at++) {
        good = count[at] >= 0 && (uint64_t)count[at] <= total;
        total -= good ? (size_t)count[at] : 0;
    }
    good = good && !total;
    Bits bits = {NULL, 0, 0, 0};
    PyObject *sizes = NULL, *told = NULL;
    if (good) { /* a number takes at most 33 bits */
        bits.data = PyMem_RawMalloc((size_t)values.len / 4 * 33 / 8 + lists / (size_t)step + 16);
        sizes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)lists * 8);
    }
    if (good && bits.data && sizes) {
        int64_t *size = (int64_t *)PyBytes_AS_STRING(sizes);
        for (size_t at = 0; good && at < lists; at++) {
            size_t before = bits.at * 8 + bits.count;
            good = encode_list(&bits, list, count[at], universe) == 0;
            list += count[at];
            size[at] = (int64_t)(bits.at * 8 + bits.count - before);
            if ((at + 1) % (size_t)step == 0 || at + 1 == lists)
                put(&bits, 0, (8 - bits.count) % 8);
        }
    }
    if (!good)
        PyErr_SetString(PyExc_ValueError, "the lists do not ascend below the universe");
    else if (!bits.data || !sizes)
        PyErr_NoMemory();
    else
        told = Py_BuildValue("y#O", bits.data, (Py_ssize_t)bits.at, sizes);
    Py_XDECREF(sizes);
    PyMem_RawFree(bits.data);
    PyBuffer_Release(&values);
    PyBuffer_Release(&counts);
    return told;
}

/* Bits from `at`; those beyond the end are 0. */
static uint64_t get(const unsigned char *data, uint64_t size, uint64_t at, unsigned width)
{
    uint64_t word = 0, from = at >> 3;
    if (from < size)
        memcpy(&word, data + from, size - from < 8 ? size - from : 8);
    return word >> (at & 7) & ((1ULL << width) - 1);
}

static int decode_list(const unsigned char *data, uint64_t size, uint64_t at, int64_t n, int64_t universe, int64_t *list)
{
    if (n > universe)
        return -1;
    if (n == 1) {
        unsigned width = universe > 1 ? floor_log((uint64_t)universe - 1) + 1 : 0;
        list[0] = (int64_t)get(data, size, at, width);
        return at + width <= 8 * size && list[0] < universe ? 0 : -1;
    }
    for (int64_t s = n ? 1LL << floor_log((uint64_t)n) : 0; s; s >>= 1) {
        uint64_t more = at;
        for (int64_t j = s; j <= n; j += 2 * s) {
            ROOM(room, list, j, s, n, universe)
            more += floor_log(room.range);
        }
        for (int64_t j = s; j <= n; j += 2 * s) {
            ROOM(room, list, j, s, n, universe)
            unsigned width = floor_log(room.range);
            uint64_t even = (2ULL << width) - room.range, x = get(data, size, at, width);
            at += width;
            if (x >= even)
                x = 2 * x + get(data, size, more++, 1) - even;
            list[j - 1] = room.low + (int64_t)x;
        }
        at = more;
    }
    return at <= 8 * size ? 0 : -1;
}

PyDoc_STRVAR(decode_doc, "decode(data, starts, counts, universe, out)\n--\n\n\
Fill `out` with the lists that begin at these bits of the data; all numbers int64.");

static PyObject *decode(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, starts, counts, out;
    long long universe;
    if (!PyArg_ParseTuple(args, "y*y*y*Lw*", &data, &starts, &counts, &universe, &out))
        return NULL;
    const int64_t *at = starts.buf, *count = counts.buf;
    int64_t *list = out.buf, *last = list + out.len / 8;
    int good = universe >= 0 && universe <= 1LL << 32 && starts.len == counts.len;
    for (Py_ssize_t each = 0; good && each < counts.len / 8; each++) {
        good = at[each] >= 0 && count[each] >= 0 && count[each] <= last - list &&
               decode_list(data.buf, (uint64_t)data.len, (uint64_t)at[each], count[each], universe, list) == 0;
        list += good ? count[each] : 0;
    }
    if (!good)
        PyErr_SetString(PyExc_ValueError, "bits are missing");
    Py_buffer *held[] = {&data, &starts, &counts, &out};
    for (int each = 0; each < 4; each++)
        PyBuffer_Release(held[each]);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"encode", encode, METH_VARARGS, encode_doc},
    {"decode", decode, METH_VARARGS, decode_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef kernel = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The inner loops of building and reading a segment; see arrays.py and codes.py for what they do.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    if (PyType_Ready(&inverter_type) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&kernel);
    if (module && (PyModule_AddObjectRef(module, "Inverter", (PyObject *)&inverter_type) < 0 ||
                   PyModule_AddIntConstant(module, "VERSION", VERSION) < 0))
        Py_CLEAR(module);
    return module;
}
