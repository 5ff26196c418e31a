"""The ordered tree: members by (score, bytes), counted, so that ranks are cheap.

What it is: a B+tree. Leaves hold up to 64 places, a score beside a borrowed
pointer to its member, and are linked to both sides. Inner nodes hold, for
each child, its lowest place and the number of members below it. Scores stand
beside the pointers because following a pointer to compare is a cache miss;
only equal scores make the search look at a member's bytes.

What it is not: an owner. Members belong to the sorted set's table; the tree
never frees one, and never reads one that left it.

How to read it: a *path* is the way from the root to a place in a leaf, level 0
being the leaf's parent. Search makes a path, edits take one. Insertion makes
room from the leaf upwards before it writes (`split_leaf`, `make_room`);
removal settles nodes that became too empty (`settle_leaf`, `settle_inner`).

Rules that hold between calls (`ordered_check` proves them in the tests):
- all leaves are at the same depth, and only a root leaf may be empty;
- every inner node has at least two children;
- lows[i] is exactly the first place below children[i], sizes[i] its members;
- a node that falls below half joins a neighbour if both fit in three quarters
  of a node, and below a quarter it takes from the neighbour at least.
Appending at an end splits off an empty leaf instead of halving the full one,
so members that arrive in order leave full leaves behind.
"""

from libc.string cimport memcmp, memcpy, memmove

from holdfast.engine.heap cimport Heap, heap_alloc, heap_free, heap_realloc, heap_size

cdef extern from *:
    """
    #define hf_prefetch(p) __builtin_prefetch(p)
    """
    void hf_prefetch(void* p) noexcept nogil

cdef enum:
    NODE_ROOM = 64          # places of a leaf, children of an inner node
    NODE_HALF = 32
    NODE_JOINED = 48        # two nodes become one when they fit in this
    NODE_QUARTER = 16
    NODE_EIGHTH = 8
    ROOT_LEAF_ROOM = 8      # first size of a tree's only leaf; it doubles
    HEIGHT_MAX = 24

cdef enum Split:
    SPLIT_EVEN
    SPLIT_APPEND
    SPLIT_PREPEND

cdef struct Place:
    double score
    Member* member

cdef struct Leaf:
    Leaf* prev
    Leaf* next
    int count
    int room
    Place places[1]         # `room` of them

cdef struct Inner:
    int count
    double scores[NODE_ROOM]        # of the lowest place below each child
    Member* members[NODE_ROOM]
    void* children[NODE_ROOM]
    size_t sizes[NODE_ROOM]         # members below each child

cdef struct Ordered:
    void* root
    Leaf* first
    Leaf* last
    size_t count
    size_t bytes
    int height              # inner levels above the leaves

cdef struct Path:
    Inner* nodes[HEIGHT_MAX]        # [0] is the leaf's parent
    int turns[HEIGHT_MAX]           # which child was taken
    Leaf* leaf
    int index

# What is searched for. `same` is a member known to be equal, so that it need
# not be read: it may have been freed already (ordered_moved).
cdef struct Probe:
    double score
    const char* bytes
    size_t len
    Member* same


# -- comparing ---------------------------------------------------------------

cdef inline int compare_bytes(const char* a, size_t a_len, const char* b, size_t b_len) noexcept nogil:
    cdef int order = memcmp(a, b, a_len if a_len < b_len else b_len)
    if order != 0:
        return order
    return (a_len > b_len) - (a_len < b_len)


cdef inline int compare_member(Member* m, Probe* probe) noexcept nogil:
    if m == probe.same:
        return 0
    return compare_bytes(member_key(m), m.klen, probe.bytes, probe.len)


cdef inline int compare_place(Place* place, Probe* probe) noexcept nogil:
    if place.score != probe.score:
        return -1 if place.score < probe.score else 1
    return compare_member(place.member, probe)


cdef int ordered_compare(double score_a, const char* a, size_t a_len,
                         double score_b, const char* b, size_t b_len) noexcept nogil:
    if score_a != score_b:
        return -1 if score_a < score_b else 1
    return compare_bytes(a, a_len, b, b_len)


cdef inline Probe probe_of(Member* m) noexcept nogil:
    cdef Probe probe
    probe.score = m.score
    probe.bytes = member_key(m)
    probe.len = m.klen
    probe.same = m
    return probe


# -- searching one node ------------------------------------------------------

cdef inline int leaf_scores_below(Leaf* leaf, double score) noexcept nogil:
    """Places with a lower score."""
    cdef Place* base = leaf.places
    cdef int left = leaf.count
    cdef int half
    while left > 1:
        half = left >> 1
        base += half if base[half - 1].score < score else 0
        left -= half
    return <int>(base - leaf.places) + (left == 1 and base.score < score)


cdef inline int inner_scores_below(Inner* node, double score) noexcept nogil:
    """Children whose lowest place has a lower score."""
    cdef double* base = node.scores
    cdef int left = node.count
    cdef int half
    while left > 1:
        half = left >> 1
        base += half if base[half - 1] < score else 0
        left -= half
    return <int>(base - node.scores) + (left == 1 and base[0] < score)


cdef inline int leaf_search(Leaf* leaf, Probe* probe) noexcept nogil:
    """Index of the first place that is not less than the probe."""
    cdef int low = leaf_scores_below(leaf, probe.score)
    cdef int high = leaf.count
    cdef int middle
    if low == high or leaf.places[low].score != probe.score:
        return low
    while low < high:
        middle = (low + high) >> 1
        if compare_place(&leaf.places[middle], probe) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline int inner_search(Inner* node, Probe* probe) noexcept nogil:
    """Index of the child that holds the probe or would take it."""
    cdef int low = inner_scores_below(node, probe.score)
    cdef int high = node.count
    cdef int middle
    if low < high and node.scores[low] == probe.score:
        while low < high:
            middle = (low + high) >> 1
            if node.scores[middle] == probe.score and compare_member(node.members[middle], probe) <= 0:
                low = middle + 1
            else:
                high = middle
    return low - 1 if low > 0 else 0


cdef inline size_t size_before(Inner* node, int turn) noexcept nogil:
    """Members below the children before `turn`."""
    cdef size_t total = 0
    cdef int i
    for i in range(turn):
        total += node.sizes[i]
    return total


# -- paths -------------------------------------------------------------------

cdef void find_path(Ordered* t, Probe* probe, Path* path) noexcept nogil:
    cdef void* node = t.root
    cdef int level = t.height
    while level > 0:
        level -= 1
        path.nodes[level] = <Inner*>node
        path.turns[level] = inner_search(<Inner*>node, probe)
        node = (<Inner*>node).children[path.turns[level]]
    path.leaf = <Leaf*>node
    path.index = leaf_search(path.leaf, probe)


cdef void find_end(Ordered* t, bint last, Path* path) noexcept nogil:
    """The path to the first place, or to the last leaf's last one."""
    cdef void* node = t.root
    cdef int level = t.height
    while level > 0:
        level -= 1
        path.nodes[level] = <Inner*>node
        path.turns[level] = (<Inner*>node).count - 1 if last else 0
        node = (<Inner*>node).children[path.turns[level]]
    path.leaf = <Leaf*>node
    path.index = path.leaf.count - 1 if last else 0


cdef void find_member(Ordered* t, Member* m, Path* path) noexcept nogil:
    """The path to a member of the tree; popping from an end compares nothing."""
    cdef Probe probe
    if t.first.places[0].member == m:
        find_end(t, False, path)
    elif t.last.places[t.last.count - 1].member == m:
        find_end(t, True, path)
    else:
        probe = probe_of(m)
        find_path(t, &probe, path)


cdef inline void set_low(Inner* node, int turn, Place* place) noexcept nogil:
    node.scores[turn] = place.score
    node.members[turn] = place.member


cdef void raise_low(Ordered* t, Path* path, int level, Place* place) noexcept nogil:
    """Tell the nodes from `level` up that `place` is now the first below the path's turn."""
    while level < t.height:
        set_low(path.nodes[level], path.turns[level], place)
        if path.turns[level] != 0:
            return
        level += 1


# -- making and dropping nodes -----------------------------------------------

cdef inline size_t leaf_bytes(int room) noexcept nogil:
    return sizeof(Leaf) + (room - 1) * sizeof(Place)


cdef Leaf* leaf_new(Heap* h, Ordered* t, int room) noexcept nogil:
    cdef Leaf* leaf = <Leaf*>heap_alloc(h, leaf_bytes(room))
    t.bytes += heap_size(leaf)
    leaf.prev = NULL
    leaf.next = NULL
    leaf.count = 0
    leaf.room = room
    return leaf


cdef Inner* inner_new(Heap* h, Ordered* t) noexcept nogil:
    cdef Inner* node = <Inner*>heap_alloc(h, sizeof(Inner))
    t.bytes += heap_size(node)
    node.count = 0
    return node


cdef void node_drop(Heap* h, Ordered* t, void* node) noexcept nogil:
    t.bytes -= heap_size(node)
    heap_free(h, node)


cdef void inner_move(Inner* to, int at, Inner* node, int start, int count) noexcept nogil:
    """Copy children, overlapping or not; the counts of the nodes stay."""
    memmove(&to.scores[at], &node.scores[start], count * sizeof(double))
    memmove(&to.members[at], &node.members[start], count * sizeof(Member*))
    memmove(&to.children[at], &node.children[start], count * sizeof(void*))
    memmove(&to.sizes[at], &node.sizes[start], count * sizeof(size_t))


cdef void inner_add(Inner* node, int turn, void* child, size_t size) noexcept nogil:
    """Open a gap for a child at `turn`; its low is still to be set."""
    inner_move(node, turn + 1, node, turn, node.count - turn)
    node.children[turn] = child
    node.sizes[turn] = size
    node.count += 1


cdef void inner_cut(Inner* node, int turn) noexcept nogil:
    inner_move(node, turn, node, turn + 1, node.count - turn - 1)
    node.count -= 1


# -- inserting ---------------------------------------------------------------

cdef void grow_root(Heap* h, Ordered* t, Path* path, Place* low) noexcept nogil:
    """Put a new root with one child above the present one."""
    cdef Inner* root = inner_new(h, t)
    inner_add(root, 0, t.root, t.count)
    set_low(root, 0, low)
    path.nodes[t.height] = root
    path.turns[t.height] = 0
    t.root = root
    t.height += 1


cdef void make_room(Heap* h, Ordered* t, Path* path, int level, Split split) noexcept nogil:
    """Split the path's node at `level` if it is full; the path follows its turn."""
    cdef Inner* node = path.nodes[level]
    cdef Inner* right
    cdef Inner* parent
    cdef Place low
    cdef size_t moved
    cdef int keep, turn
    if node.count < NODE_ROOM:
        return
    if level == t.height - 1:
        low.score = node.scores[0]
        low.member = node.members[0]
        grow_root(h, t, path, &low)
    else:
        make_room(h, t, path, level + 1, split)
    keep = NODE_HALF
    if split == SPLIT_APPEND:
        keep = NODE_ROOM - NODE_EIGHTH
    elif split == SPLIT_PREPEND:
        keep = NODE_EIGHTH
    right = inner_new(h, t)
    right.count = node.count - keep
    inner_move(right, 0, node, keep, right.count)
    node.count = keep
    moved = size_before(right, right.count)
    parent = path.nodes[level + 1]
    turn = path.turns[level + 1]
    parent.sizes[turn] -= moved
    inner_add(parent, turn + 1, right, moved)
    parent.scores[turn + 1] = right.scores[0]
    parent.members[turn + 1] = right.members[0]
    if path.turns[level] >= keep:
        path.nodes[level] = right
        path.turns[level] -= keep
        path.turns[level + 1] += 1


cdef void grow_root_leaf(Heap* h, Ordered* t, Path* path) noexcept nogil:
    cdef Leaf* leaf = path.leaf
    t.bytes -= heap_size(leaf)
    leaf = <Leaf*>heap_realloc(h, leaf, leaf_bytes(leaf.room * 2))
    t.bytes += heap_size(leaf)
    leaf.room *= 2
    t.root = leaf
    t.first = leaf
    t.last = leaf
    path.leaf = leaf


cdef void split_leaf(Heap* h, Ordered* t, Path* path, Place* coming) noexcept nogil:
    """Make two of the path's full leaf; the path leads to where `coming` belongs."""
    cdef Leaf* leaf = path.leaf
    cdef Leaf* right = leaf_new(h, t, NODE_ROOM)
    cdef Split split = SPLIT_EVEN
    cdef Inner* parent
    cdef int keep = NODE_HALF
    if leaf.next == NULL and path.index == leaf.count:
        split = SPLIT_APPEND
        keep = leaf.count
    elif leaf.prev == NULL and path.index == 0:
        split = SPLIT_PREPEND
        keep = 0
    if t.height == 0:
        grow_root(h, t, path, &leaf.places[0])
    else:
        make_room(h, t, path, 0, split)
    right.count = leaf.count - keep
    memcpy(right.places, &leaf.places[keep], right.count * sizeof(Place))
    leaf.count = keep
    right.prev = leaf
    right.next = leaf.next
    if leaf.next != NULL:
        leaf.next.prev = right
    else:
        t.last = right
    leaf.next = right
    parent = path.nodes[0]
    parent.sizes[path.turns[0]] = keep
    inner_add(parent, path.turns[0] + 1, right, right.count)
    set_low(parent, path.turns[0] + 1, &right.places[0] if right.count else coming)
    if split == SPLIT_APPEND or path.index > keep:
        path.leaf = right
        path.index -= keep
        path.turns[0] += 1


cdef void insert_at(Heap* h, Ordered* t, Path* path, Member* m) noexcept nogil:
    cdef Place coming
    cdef Leaf* leaf
    cdef int level, index
    coming.score = m.score
    coming.member = m
    if path.leaf.count == path.leaf.room:
        if path.leaf.room < NODE_ROOM:
            grow_root_leaf(h, t, path)
        else:
            split_leaf(h, t, path, &coming)
    leaf = path.leaf
    index = path.index
    memmove(&leaf.places[index + 1], &leaf.places[index], (leaf.count - index) * sizeof(Place))
    leaf.places[index] = coming
    leaf.count += 1
    for level in range(t.height):
        path.nodes[level].sizes[path.turns[level]] += 1
    if index == 0:
        raise_low(t, path, 0, &coming)
    t.count += 1


cdef void ordered_append(Heap* h, Ordered* t, Member* m) noexcept nogil:
    cdef Path path
    find_end(t, True, &path)
    path.index += 1
    insert_at(h, t, &path, m)


cdef void ordered_insert(Heap* h, Ordered* t, Member* m) noexcept nogil:
    cdef Probe probe = probe_of(m)
    cdef Path path
    if t.count == 0 or compare_place(&t.last.places[t.last.count - 1], &probe) < 0:
        ordered_append(h, t, m)
        return
    find_path(t, &probe, &path)
    insert_at(h, t, &path, m)


# -- removing ----------------------------------------------------------------

cdef inline int neighbour_pair(Inner* parent, int turn) noexcept nogil:
    """The left one of the two children to settle: `turn` and its smaller neighbour."""
    if turn == 0:
        return 0
    if turn == parent.count - 1 or parent.sizes[turn - 1] <= parent.sizes[turn + 1]:
        return turn - 1
    return turn


cdef void settle_inner(Heap* h, Ordered* t, Path* path, int level) noexcept nogil:
    """Join or fill up the path's inner node at `level`, which lost a child."""
    cdef Inner* node = path.nodes[level]
    cdef Inner* parent
    cdef Inner* left
    cdef Inner* right
    cdef int turn, total, shift
    cdef size_t moved
    if level == t.height - 1:
        if node.count == 1:
            t.root = node.children[0]
            t.height -= 1
            node_drop(h, t, node)
        return
    parent = path.nodes[level + 1]
    turn = neighbour_pair(parent, path.turns[level + 1])
    left = <Inner*>parent.children[turn]
    right = <Inner*>parent.children[turn + 1]
    total = left.count + right.count
    if total <= NODE_JOINED:
        inner_move(left, left.count, right, 0, right.count)
        left.count = total
        parent.sizes[turn] += parent.sizes[turn + 1]
        inner_cut(parent, turn + 1)
        node_drop(h, t, right)
        if parent.count < NODE_HALF:
            settle_inner(h, t, path, level + 1)
        return
    if node.count >= NODE_QUARTER:
        return
    shift = total // 2 - left.count         # children that go from right to left
    if shift > 0:
        moved = size_before(right, shift)
        inner_move(left, left.count, right, 0, shift)
        inner_move(right, 0, right, shift, right.count - shift)
        parent.sizes[turn] += moved
        parent.sizes[turn + 1] -= moved
    else:
        inner_move(right, -shift, right, 0, right.count)
        inner_move(right, 0, left, left.count + shift, -shift)
        moved = size_before(right, -shift)
        parent.sizes[turn] -= moved
        parent.sizes[turn + 1] += moved
    left.count += shift
    right.count -= shift
    parent.scores[turn + 1] = right.scores[0]
    parent.members[turn + 1] = right.members[0]


cdef void settle_leaf(Heap* h, Ordered* t, Path* path) noexcept nogil:
    """Join or fill up the path's leaf, which lost a place and is less than half full."""
    cdef Inner* parent = path.nodes[0]
    cdef int turn = neighbour_pair(parent, path.turns[0])
    cdef Leaf* left
    cdef Leaf* right
    cdef int total = <int>(parent.sizes[turn] + parent.sizes[turn + 1])
    cdef int shift
    if total > NODE_JOINED and path.leaf.count >= NODE_QUARTER:
        return
    left = <Leaf*>parent.children[turn]
    right = <Leaf*>parent.children[turn + 1]
    path.turns[0] = turn
    if total <= NODE_JOINED:
        memcpy(&left.places[left.count], right.places, right.count * sizeof(Place))
        left.count = total
        left.next = right.next
        if right.next != NULL:
            right.next.prev = left
        else:
            t.last = left
        parent.sizes[turn] = total
        inner_cut(parent, turn + 1)
        node_drop(h, t, right)
        raise_low(t, path, 0, &left.places[0])
        if parent.count < NODE_HALF:
            settle_inner(h, t, path, 0)
        return
    shift = total // 2 - left.count         # places that go from right to left
    if shift > 0:
        memcpy(&left.places[left.count], right.places, shift * sizeof(Place))
        memmove(right.places, &right.places[shift], (right.count - shift) * sizeof(Place))
    else:
        memmove(&right.places[-shift], right.places, right.count * sizeof(Place))
        memcpy(right.places, &left.places[left.count + shift], -shift * sizeof(Place))
    left.count += shift
    right.count -= shift
    parent.sizes[turn] = left.count
    parent.sizes[turn + 1] = right.count
    set_low(parent, turn + 1, &right.places[0])
    raise_low(t, path, 0, &left.places[0])


cdef void remove_at(Heap* h, Ordered* t, Path* path) noexcept nogil:
    cdef Leaf* leaf = path.leaf
    cdef int index = path.index
    cdef int level
    leaf.count -= 1
    memmove(&leaf.places[index], &leaf.places[index + 1], (leaf.count - index) * sizeof(Place))
    t.count -= 1
    for level in range(t.height):
        path.nodes[level].sizes[path.turns[level]] -= 1
    if t.height == 0:
        return
    if index == 0 and leaf.count > 0:
        raise_low(t, path, 0, &leaf.places[0])
    if leaf.count < NODE_HALF:
        settle_leaf(h, t, path)


cdef void ordered_remove(Heap* h, Ordered* t, Member* m) noexcept nogil:
    cdef Path path
    find_member(t, m, &path)
    remove_at(h, t, &path)


cdef void ordered_rescore(Heap* h, Ordered* t, Member* m, double score) noexcept nogil:
    """Rewrite in place when the member stays between its neighbours, else move it."""
    cdef Probe probe
    cdef Path path
    cdef Place* place
    cdef Leaf* leaf
    cdef bint stays = True
    find_member(t, m, &path)
    leaf = path.leaf
    probe = probe_of(m)
    probe.score = score
    if path.index > 0:
        stays = compare_place(&leaf.places[path.index - 1], &probe) < 0
    elif leaf.prev != NULL:
        stays = compare_place(&leaf.prev.places[leaf.prev.count - 1], &probe) < 0
    if stays:
        if path.index < leaf.count - 1:
            stays = compare_place(&leaf.places[path.index + 1], &probe) > 0
        elif leaf.next != NULL:
            stays = compare_place(&leaf.next.places[0], &probe) > 0
    if not stays:
        remove_at(h, t, &path)
        m.score = score
        ordered_insert(h, t, m)
        return
    m.score = score
    place = &leaf.places[path.index]
    place.score = score
    if path.index == 0:
        raise_low(t, &path, 0, place)


cdef void ordered_moved(Ordered* t, Member* old, Member* fresh) noexcept nogil:
    cdef Probe probe = probe_of(fresh)
    cdef Path path
    probe.same = old
    find_path(t, &probe, &path)
    path.leaf.places[path.index].member = fresh
    if path.index == 0:
        raise_low(t, &path, 0, &path.leaf.places[0])


# -- ranks and cursors -------------------------------------------------------

cdef size_t ordered_rank(Ordered* t, Member* m) noexcept nogil:
    cdef Path path
    cdef size_t rank
    cdef int level
    find_member(t, m, &path)
    rank = path.index
    for level in range(t.height):
        rank += size_before(path.nodes[level], path.turns[level])
    return rank


cdef size_t count_scores(Ordered* t, double bound, bint equal_too) noexcept nogil:
    """Members with a score below the bound, or at it with `equal_too`."""
    cdef void* node = t.root
    cdef Inner* inner
    cdef Leaf* leaf
    cdef size_t rank = 0
    cdef int _level, turn, low, high, middle
    for _level in range(t.height):
        inner = <Inner*>node
        turn = inner_scores_below(inner, bound)
        if equal_too:
            high = inner.count
            while turn < high:
                middle = (turn + high) >> 1
                if inner.scores[middle] <= bound:
                    turn = middle + 1
                else:
                    high = middle
        turn = turn - 1 if turn > 0 else 0
        rank += size_before(inner, turn)
        node = inner.children[turn]
    leaf = <Leaf*>node
    low = leaf_scores_below(leaf, bound)
    if equal_too:
        high = leaf.count
        while low < high:
            middle = (low + high) >> 1
            if leaf.places[middle].score <= bound:
                low = middle + 1
            else:
                high = middle
    return rank + low


cdef size_t count_bytes(Ordered* t, const char* p, size_t n, bint equal_too) noexcept nogil:
    """Members whose bytes are below the text, or equal to it with `equal_too`."""
    cdef void* node = t.root
    cdef Inner* inner
    cdef Leaf* leaf
    cdef Member* m
    cdef size_t rank = 0
    cdef int limit = 1 if equal_too else 0      # orders below this one count
    cdef int _level, low, high, middle
    for _level in range(t.height):
        inner = <Inner*>node
        low = 1             # what is left of the second child is in the first at least
        high = inner.count
        while low < high:
            middle = (low + high) >> 1
            m = inner.members[middle]
            if compare_bytes(member_key(m), m.klen, p, n) < limit:
                low = middle + 1
            else:
                high = middle
        rank += size_before(inner, low - 1)
        node = inner.children[low - 1]
    leaf = <Leaf*>node
    low = 0
    high = leaf.count
    while low < high:
        middle = (low + high) >> 1
        m = leaf.places[middle].member
        if compare_bytes(member_key(m), m.klen, p, n) < limit:
            low = middle + 1
        else:
            high = middle
    return rank + low


cdef size_t ordered_rank_from(Ordered* t, double bound, bint inclusive) noexcept nogil:
    return count_scores(t, bound, not inclusive)


cdef size_t ordered_rank_to(Ordered* t, double bound, bint inclusive) noexcept nogil:
    return count_scores(t, bound, inclusive)


cdef size_t ordered_lex_from(Ordered* t, const char* p, size_t n, bint inclusive) noexcept nogil:
    return count_bytes(t, p, n, not inclusive)


cdef size_t ordered_lex_to(Ordered* t, const char* p, size_t n, bint inclusive) noexcept nogil:
    return count_bytes(t, p, n, inclusive)


cdef Member* ordered_seek(Ordered* t, size_t rank, OrderedCursor* c) noexcept nogil:
    cdef void* node = t.root
    cdef Inner* inner
    cdef int _level, turn
    c.leaf = NULL
    c.index = 0
    if rank >= t.count:
        return NULL
    if rank == 0:
        node = t.first
    elif rank == t.count - 1:
        node = t.last
        rank = t.last.count - 1
    else:
        for _level in range(t.height):
            inner = <Inner*>node
            turn = 0
            while rank >= inner.sizes[turn]:
                rank -= inner.sizes[turn]
                turn += 1
            node = inner.children[turn]
    c.leaf = node
    c.index = <int>rank
    return (<Leaf*>node).places[rank].member


cdef Member* ordered_next(OrderedCursor* c) noexcept nogil:
    cdef Leaf* leaf = <Leaf*>c.leaf
    if leaf == NULL:
        return NULL
    c.index += 1
    if c.index == leaf.count:
        leaf = leaf.next
        c.leaf = leaf
        c.index = 0
        if leaf == NULL:
            return NULL
    return leaf.places[c.index].member


cdef Member* ordered_prev(OrderedCursor* c) noexcept nogil:
    cdef Leaf* leaf = <Leaf*>c.leaf
    if leaf == NULL:
        return NULL
    if c.index == 0:
        leaf = leaf.prev
        c.leaf = leaf
        if leaf == NULL:
            return NULL
        c.index = leaf.count
    c.index -= 1
    return leaf.places[c.index].member


# -- the whole tree ----------------------------------------------------------

cdef Ordered* ordered_new(Heap* h) noexcept nogil:
    cdef Ordered* t = <Ordered*>heap_alloc(h, sizeof(Ordered))
    t.bytes = heap_size(t)
    t.count = 0
    t.height = 0
    t.first = leaf_new(h, t, ROOT_LEAF_ROOM)
    t.last = t.first
    t.root = t.first
    return t


cdef void free_below(Heap* h, void* node, int height) noexcept nogil:
    cdef Inner* inner = <Inner*>node
    cdef int i
    if height > 0:
        for i in range(inner.count):
            free_below(h, inner.children[i], height - 1)
    heap_free(h, node)


cdef void ordered_free(Heap* h, Ordered* t) noexcept nogil:
    free_below(h, t.root, t.height)
    heap_free(h, t)


cdef bint drain_below(Heap* h, void* node, int height, int* nodes) noexcept nogil:
    """Free children from the last on; True when the node itself is gone, too."""
    cdef Inner* inner = <Inner*>node
    if height > 0:
        while inner.count:
            if nodes[0] <= 0 or not drain_below(h, inner.children[inner.count - 1], height - 1, nodes):
                return False
            inner.count -= 1
    heap_free(h, node)
    nodes[0] -= 1
    return True


cdef bint ordered_drain(Heap* h, Ordered* t, int nodes) noexcept nogil:
    if not drain_below(h, t.root, t.height, &nodes):
        return True
    heap_free(h, t)
    return False


cdef size_t ordered_count(Ordered* t) noexcept nogil:
    return t.count


cdef size_t ordered_bytes(Ordered* t) noexcept nogil:
    return t.bytes


cdef long check_below(Ordered* t, void* node, int height, Leaf** leaf, size_t* bytes) noexcept nogil:
    """Members below a node whose rules hold, or -1. `leaf` is the one expected next."""
    cdef Inner* inner = <Inner*>node
    cdef Leaf* here
    cdef Leaf* first
    cdef long size, total = 0
    cdef int i
    bytes[0] += heap_size(node)
    if height == 0:
        here = <Leaf*>node
        if here != leaf[0] or (here.count == 0 and t.height > 0) or here.count > here.room:
            return -1
        if here.next != NULL and here.next.prev != here:
            return -1
        if here.next == NULL and here != t.last:
            return -1
        leaf[0] = here.next
        return here.count
    if inner.count < 2 or inner.count > NODE_ROOM:
        return -1
    for i in range(inner.count):
        first = leaf[0]
        size = check_below(t, inner.children[i], height - 1, leaf, bytes)
        if size < 0 or <size_t>size != inner.sizes[i]:
            return -1
        if inner.members[i] != first.places[0].member or inner.scores[i] != first.places[0].score:
            return -1
        total += size
    return total


cdef bint ordered_check(Ordered* t) noexcept nogil:
    cdef Leaf* leaf = t.first
    cdef size_t bytes = heap_size(t)
    cdef long total
    cdef Place* place
    cdef Place* before = NULL
    cdef Probe probe
    cdef int i
    if t.first.prev != NULL:
        return False
    total = check_below(t, t.root, t.height, &leaf, &bytes)
    if total < 0 or <size_t>total != t.count or leaf != NULL or bytes != t.bytes:
        return False
    leaf = t.first
    while leaf != NULL:
        for i in range(leaf.count):
            place = &leaf.places[i]
            if place.score != place.member.score:
                return False
            if before != NULL:
                probe = probe_of(place.member)
                if compare_place(before, &probe) >= 0:
                    return False
            before = place
        leaf = leaf.next
    return True
