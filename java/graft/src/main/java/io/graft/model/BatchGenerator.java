package io.graft.model;

import io.graft.nn.KvCache;
import io.graft.nn.PagePool;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Continues many prompts of different lengths together: a prompt is read by itself, then each step makes one token of every
 * row that is not yet done, with one pass over the weights. A row that ends makes room for the next prompt at once. Each row
 * has its own keys and values, positions, random numbers and adapter, and gets the tokens that it would get alone.
 *
 * <p>Not for use by two threads at once.
 */
public final class BatchGenerator {
    /**
     * A prompt to continue.
     *
     * @param prompt its tokens
     * @param count at most so many new ones
     * @param adapter which of the model's several adapters generates; null where it has not several
     */
    public record Request(int[] prompt, int count, Sampling sampling, String adapter) {}

    /** Sees each new token of each request; false ends that request, and the token is the last of its result. */
    @FunctionalInterface
    public interface Listener {
        boolean token(int request, int token);
    }

    /** A request that is being continued. */
    private static final class Row implements AutoCloseable {
        private final int request;
        private final TokenStream stream;
        private final List<Integer> made = new ArrayList<>();
        private boolean ended;

        Row(int request, TokenStream stream) {
            this.request = request;
            this.stream = stream;
        }

        void made(int token, Listener listener) {
            made.add(token);
            ended = !listener.token(request, token) || !stream.hasNext();
        }

        @Override
        public void close() {
            stream.close();
        }
    }

    private final Llama model;
    private final int rows;
    private final long tokens;

    /** @param rows how many are continued together at most */
    public BatchGenerator(Llama model, int rows) {
        this(model, rows, Long.MAX_VALUE);
    }

    /**
     * @param rows how many are continued together at most
     * @param tokens so many have room for their keys and values, in pages of {@link PagePool#PAGE}; a request waits until
     *     the pages of all its tokens are free
     */
    public BatchGenerator(Llama model, int rows, long tokens) {
        if (rows < 1) {
            throw new IllegalArgumentException("BatchGenerator: " + rows + " rows");
        }
        this.model = model;
        this.rows = rows;
        this.tokens = tokens;
    }

    /** Enough pages for the largest requests that may run together, but no more than what is allowed. */
    private PagePool pool(List<Request> requests) {
        int[] sizes = requests.stream().mapToInt(this::pages).sorted().toArray();
        long all = Arrays.stream(sizes)
                .skip(Math.max(0, sizes.length - rows))
                .asLongStream()
                .sum();
        long allowed = tokens / PagePool.PAGE;
        int largest = sizes.length == 0 ? 1 : sizes[sizes.length - 1];
        if (largest > allowed) {
            throw new IllegalArgumentException("BatchGenerator: a request takes " + largest + " pages of "
                    + PagePool.PAGE + " tokens, and " + tokens + " tokens are room for " + allowed);
        }
        return model.caches().pool(Math.toIntExact(Math.max(1, Math.min(all, allowed))));
    }

    private int pages(Request request) {
        return model.caches().pages(request.prompt().length + request.count());
    }

    /** Continues all requests; the new tokens of each, in their order. */
    public List<int[]> generate(List<Request> requests, Listener listener) {
        int[][] results = new int[requests.size()][];
        List<Row> running = new ArrayList<>();
        Workspace work = null;
        int next = 0;
        boolean changed = true;
        try (PagePool pool = pool(requests);
                Workspace single = model.continuation(1)) {
            while (!running.isEmpty() || next < requests.size()) {
                while (running.size() < rows && next < requests.size() && pages(requests.get(next)) <= pool.free()) {
                    running.add(start(requests.get(next), next++, single, pool, listener));
                    changed = true;
                }
                changed |= finish(running, results);
                if (running.isEmpty()) {
                    continue;
                }
                if (changed) {
                    if (work != null) {
                        work.close();
                    }
                    work = workspace(running);
                }
                step(work, running, listener);
                changed = finish(running, results);
            }
        } finally {
            running.forEach(Row::close);
            if (work != null) {
                work.close();
            }
        }
        return Arrays.asList(results);
    }

    private Row start(Request request, int index, Workspace single, PagePool pool, Listener listener) {
        Row row = new Row(
                index,
                new TokenStream(
                        model, request.adapter(), single, request.prompt(), request.count(), request.sampling(), pool));
        try {
            if (row.stream.hasNext()) {
                row.made(row.stream.nextInt(), listener);
            } else {
                row.ended = true;
            }
            return row;
        } catch (RuntimeException | Error e) {
            row.close();
            throw e;
        }
    }

    /** Takes out the rows that have ended; whether there were any. */
    private static boolean finish(List<Row> running, int[][] results) {
        return running.removeIf(row -> {
            if (row.ended) {
                results[row.request] =
                        row.made.stream().mapToInt(Integer::intValue).toArray();
                row.close();
            }
            return row.ended;
        });
    }

    private Workspace workspace(List<Row> running) {
        Workspace work = model.continuation(running.size());
        try {
            for (int row = 0; row < running.size(); row++) {
                work.choose(row, running.get(row).stream.adapter());
            }
            return work;
        } catch (RuntimeException | Error e) {
            work.close();
            throw e;
        }
    }

    private void step(Workspace work, List<Row> running, Listener listener) {
        int[] ids = running.stream().mapToInt(row -> row.stream.last()).toArray();
        List<KvCache> caches = running.stream().map(row -> row.stream.cache()).toList();
        float[] logits = model.decode(work, ids, caches).floats();
        int vocabulary = logits.length / ids.length;
        for (int row = 0; row < ids.length; row++) {
            float[] own = Arrays.copyOfRange(logits, row * vocabulary, (row + 1) * vocabulary);
            running.get(row).made(running.get(row).stream.next(own), listener);
        }
    }
}
