"""The decode step's own kernels, in Triton: what torch does in many launches, done in few.

Each stands for a few lines of decoder.py or sampler.py and must equal them; TRITON_INTERPRET=1 runs them on a CPU.
Sums over columns are always split at the same places and joined in order, so that a song does not depend on how
long its neighbours are. Rows 0..slots-1 hear the text, the rest does not.

AHEAD: on a GPU of capability 9.0 a kernel starts while the one before it still runs ("programmatic dependent
launch"). Before `_wait` it may load what this step does not write: weights, and the cache of earlier columns. The one
after it is let go right behind the wait, so all but the last two kernels are over when a kernel begins.
"""

import triton
import triton.language as tl

# Columns that one program of the attention reads. Another split is another rounding, so one value everywhere.
SPLIT = 128


@triton.jit
def _wait(AHEAD: tl.constexpr):
    if AHEAD:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def embed(
    tokens,
    column,
    table,
    positions,
    x,
    slots,
    COLUMNS: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    CARDS: tl.constexpr,
    BOOKS: tl.constexpr,
):
    """x[row] = the sum of the codebooks' embeddings, and the position; for both rows of a slot.

    First of a step, and never ahead: what the step before has written must be there.
    """
    slot = tl.program_id(0)
    at = tl.load(column + slot)
    k = tl.arange(0, PADDED)
    real = k < WIDTH
    total = tl.zeros([PADDED], tl.float32)
    for book in tl.static_range(BOOKS):
        token = tl.load(tokens + (slot * BOOKS + book) * COLUMNS + at)
        total += tl.load(table + (book * CARDS + token) * WIDTH + k, mask=real, other=0.0)
    total += tl.load(positions + at * WIDTH + k, mask=real, other=0.0)
    tl.store(x + slot * WIDTH + k, total, mask=real)
    tl.store(x + (slots + slot) * WIDTH + k, total, mask=real)


@triton.jit
def _gelu(x):
    return 0.5 * x * (1.0 + tl.math.erf(x * 0.7071067811865476))


@triton.jit
def norm(x, out, scale, bias, WIDTH: tl.constexpr, PADDED: tl.constexpr, AHEAD: tl.constexpr):
    """out[row] = the layer norm of x[row], in the matrices' type: for rows too many for `linear`."""
    row = tl.program_id(0)
    k = tl.arange(0, PADDED)
    real = k < WIDTH
    g = tl.load(scale + k, mask=real, other=0.0).to(tl.float32)
    b = tl.load(bias + k, mask=real, other=0.0).to(tl.float32)
    _wait(AHEAD)
    v = tl.load(x + row * WIDTH + k, mask=real, other=0.0).to(tl.float32)
    off = tl.where(real, v - tl.sum(v, 0) / WIDTH, 0.0)
    made = off * tl.rsqrt(tl.sum(off * off, 0) / WIDTH + 1e-5) * g + b
    tl.store(out + row * WIDTH + k, made.to(out.dtype.element_ty), mask=real)


@triton.jit
def linear(
    x,
    weight,
    out,
    scale,
    by_scale,
    by_bias,
    N,
    ROWS: tl.constexpr,
    K: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    NORM: tl.constexpr,
    GELU: tl.constexpr,
    ADD: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """out[rows, N] (+)= act(norm(x)[rows, K] @ weight[N, K]ᵀ) for one or two rows, where reading the matrix once is all
    the work there is. The norm is taken out of the product: W·n(x) = r·(W·(g∘x) - mean·W·g) + W·b, of which W·g and
    W·b (`by_scale`, `by_bias`) are made when the model is loaded."""
    n = tl.program_id(0) * BN + tl.arange(0, BN)
    inside = n < N
    k = tl.arange(0, BK)
    cells = weight + n[:, None] * K + k[None, :]
    ahead = tl.load(cells, mask=inside[:, None] & (k < K)[None, :], other=0.0)
    _wait(AHEAD)
    first = tl.zeros([BN, BK], tl.float32)
    second = tl.zeros([BN, BK], tl.float32)
    sums = tl.zeros([BK], tl.float32)
    squares = tl.zeros([BK], tl.float32)
    sums_2 = tl.zeros([BK], tl.float32)
    squares_2 = tl.zeros([BK], tl.float32)
    for start in tl.static_range(0, K, BK):
        w = ahead.to(tl.float32)
        if start + BK < K:
            later = (start + BK + k) < K
            ahead = tl.load(cells + start + BK, mask=inside[:, None] & later[None, :], other=0.0)
        real = start + k < K
        v = tl.load(x + start + k, mask=real, other=0.0).to(tl.float32)
        if NORM:
            g = tl.load(scale + start + k, mask=real, other=0.0).to(tl.float32)
            sums += v
            squares += v * v
            v = v * g
        first += w * v[None, :]
        if ROWS == 2:
            u = tl.load(x + K + start + k, mask=real, other=0.0).to(tl.float32)
            if NORM:
                sums_2 += u
                squares_2 += u * u
                u = u * g
            second += w * u[None, :]
    for row in tl.static_range(ROWS):
        product = tl.sum(first if row == 0 else second, 1)
        if NORM:
            mean = tl.sum(sums if row == 0 else sums_2, 0) / K
            spread = tl.sum(squares if row == 0 else squares_2, 0) / K - mean * mean
            wg = tl.load(by_scale + n, mask=inside, other=0.0)
            wb = tl.load(by_bias + n, mask=inside, other=0.0)
            product = (product - mean * wg) * tl.rsqrt(spread + 1e-5) + wb
        if GELU:
            product = _gelu(product)
        place = out + row * N + n
        if ADD:
            product += tl.load(place, mask=inside, other=0.0).to(tl.float32)
        tl.store(place, product.to(out.dtype.element_ty), mask=inside)


@triton.jit
def attend(
    qkv,
    keys,
    values,
    column,
    out,
    parts,
    weights,
    arrived,
    slots,
    HEADS: tl.constexpr,
    HEAD: tl.constexpr,
    COLUMNS: tl.constexpr,
    SPLITS: tl.constexpr,
    PADDED: tl.constexpr,
    SPLIT_: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """One row's head over one split of the columns; the split that holds the present column keeps its key and value.

    Whoever of a head arrives last joins the splits, in their order and not in that of their arrival.
    """
    row_head = tl.program_id(0)
    split = tl.program_id(1)
    row = row_head // HEADS
    at = tl.load(column + row % slots).to(tl.int32)
    t = split * SPLIT_ + tl.arange(0, SPLIT_)
    d = tl.arange(0, HEAD)
    if split * SPLIT_ <= at:
        base = row_head.to(tl.int64) * (COLUMNS * HEAD)
        earlier = (t < at) & (t < COLUMNS)
        cells = t[:, None] * HEAD + d[None, :]
        k = tl.load(keys + base + cells, mask=earlier[:, None], other=0.0).to(tl.float32)
        v = tl.load(values + base + cells, mask=earlier[:, None], other=0.0).to(tl.float32)
        _wait(AHEAD)
        here = qkv + row * (3 * HEADS * HEAD) + (row_head % HEADS) * HEAD + d
        query = tl.load(here).to(tl.float32) * (1.0 / tl.sqrt(tl.full([], HEAD, tl.float32)))
        key = tl.load(here + HEADS * HEAD)
        value = tl.load(here + 2 * HEADS * HEAD)
        score = tl.where(earlier, tl.sum(k * query[None, :], 1), float("-inf"))
        mine = at // SPLIT_ == split
        if mine:
            tl.store(keys + base + at * HEAD + d, key)
            tl.store(values + base + at * HEAD + d, value)
        own = tl.where(mine, tl.sum(query * key.to(tl.float32), 0), float("-inf"))
        most = tl.maximum(tl.max(score, 0), own)
        likely = tl.exp(score - most)
        own_likely = tl.exp(own - most)
        mixed = tl.sum(likely[:, None] * v, 0) + own_likely * value.to(tl.float32)
        total = tl.sum(likely, 0) + own_likely
        count = at // SPLIT_ + 1
        if count == 1:
            tl.store(out + row_head * HEAD + d, (mixed / total).to(out.dtype.element_ty))
        else:
            tl.store(parts + (row_head * SPLITS + split) * HEAD + d, mixed)
            tl.store(weights + (row_head * SPLITS + split) * 2, most)
            tl.store(weights + (row_head * SPLITS + split) * 2 + 1, total)
            tl.debug_barrier()
            if tl.atomic_add(arrived + row_head, 1) == count - 1:
                tl.debug_barrier()
                _join(row_head, count, parts, weights, out, HEAD, SPLITS, PADDED)
                tl.store(arrived + row_head, 0)


@triton.jit
def _join(row_head, count, parts, weights, out, HEAD: tl.constexpr, SPLITS: tl.constexpr, PADDED: tl.constexpr):
    """What others have stored is read past the first cache."""
    j = tl.arange(0, PADDED)
    d = tl.arange(0, HEAD)
    there = j < count
    place = row_head * SPLITS + j
    most = tl.load(weights + place * 2, mask=there, other=float("-inf"), cache_modifier=".cg")
    total = tl.load(weights + place * 2 + 1, mask=there, other=0.0, cache_modifier=".cg")
    mixed = tl.load(parts + place[:, None] * HEAD + d[None, :], mask=there[:, None], other=0.0, cache_modifier=".cg")
    share = tl.exp(most - tl.max(most, 0))
    whole = tl.sum(mixed * share[:, None], 0) / tl.sum(total * share, 0)
    tl.store(out + row_head * HEAD + d, whole.to(out.dtype.element_ty))


@triton.jit
def listen(
    query,
    keys,
    values,
    length,
    out,
    HEADS: tl.constexpr,
    HEAD: tl.constexpr,
    TEXT: tl.constexpr,
    BLOCK: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """Cross-attention of one slot's head: the text is short, so one program reads all of it, a block at a time."""
    slot_head = tl.program_id(0)
    slot = slot_head // HEADS
    d = tl.arange(0, HEAD)
    count = tl.load(length + slot).to(tl.int32)
    base = slot_head.to(tl.int64) * (TEXT * HEAD)
    _wait(AHEAD)
    asked = tl.load(query + slot_head * HEAD + d).to(tl.float32) * (1.0 / tl.sqrt(tl.full([], HEAD, tl.float32)))
    most = tl.full([], float("-inf"), tl.float32)
    total = tl.zeros([], tl.float32)
    mixed = tl.zeros([HEAD], tl.float32)
    for start in tl.range(0, count, BLOCK):
        t = start + tl.arange(0, BLOCK)
        real = t < count
        cells = t[:, None] * HEAD + d[None, :]
        k = tl.load(keys + base + cells, mask=real[:, None], other=0.0).to(tl.float32)
        v = tl.load(values + base + cells, mask=real[:, None], other=0.0).to(tl.float32)
        score = tl.where(real, tl.sum(k * asked[None, :], 1), float("-inf"))
        newest = tl.maximum(most, tl.max(score, 0))
        likely = tl.exp(score - newest)
        fade = tl.exp(most - newest)
        total = total * fade + tl.sum(likely, 0)
        mixed = mixed * fade + tl.sum(likely[:, None] * v, 0)
        most = newest
    tl.store(out + slot_head * HEAD + d, (mixed / total).to(out.dtype.element_ty))


@triton.jit
def draw(
    logits,
    seed,
    before,
    column,
    last,
    tokens,
    temperature,
    top_k,
    guidance,
    greedy,
    slots,
    COLUMNS: tl.constexpr,
    CARD: tl.constexpr,
    BOOKS: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """Guidance, temperature, the best k, keyed noise, and the token into the next column where none is known yet."""
    slot = tl.program_id(0)
    book = tl.program_id(1)
    token = tl.arange(0, CARD)
    at = tl.load(column + slot)
    place = tokens + (slot * BOOKS + book) * COLUMNS + tl.minimum(at + 1, tl.load(last + slot))
    _wait(AHEAD)
    heard = tl.load(logits + (slot * BOOKS + book) * CARD + token).to(tl.float32)
    unheard = tl.load(logits + ((slots + slot) * BOOKS + book) * CARD + token).to(tl.float32)
    guided = unheard + (heard - unheard) * tl.load(guidance + slot)
    if tl.load(greedy + slot) != 0:
        drawn = tl.argmax(guided, 0)
    else:
        warm = guided / tl.load(temperature + slot)
        likely = tl.exp(warm - tl.max(warm, 0))
        likely = likely / tl.sum(likely, 0)
        # Bits of positive floats are ordered as the floats are: halve until the k-th largest is found.
        bits = likely.to(tl.int32, bitcast=True)
        low = tl.full([], 0, tl.int32)
        high = tl.full([], 0x3F800001, tl.int32)
        wanted = tl.load(top_k + slot)
        for _ in tl.static_range(31):
            middle = low + (high - low) // 2
            enough = tl.sum((bits >= middle).to(tl.int32), 0) >= wanted
            low = tl.where(enough, middle, low)
            high = tl.where(enough, high, middle)
        likely = tl.where(bits >= low, likely, 0.0)
        likely = likely / tl.sum(likely, 0)
        counter = ((tl.load(before + slot) + at) * (BOOKS * CARD)).to(tl.int32) + book * CARD + token
        uniform = tl.rand(tl.load(seed + slot), counter)
        noise = tl.maximum(-tl.log(1.0 - uniform * 0.99999994), 1e-20)
        drawn = tl.argmax(likely / noise, 0)
    known = tl.load(place)
    tl.store(place, tl.where(known == -1, drawn.to(tl.int64), known))


@triton.jit
def advance(column, last, slots, PADDED: tl.constexpr, AHEAD: tl.constexpr):
    """Every slot to its next column; those at their end stand still."""
    slot = tl.arange(0, PADDED)
    real = slot < slots
    _wait(AHEAD)
    at = tl.load(column + slot, mask=real, other=0)
    tl.store(column + slot, tl.minimum(at + 1, tl.load(last + slot, mask=real, other=0)), mask=real)
