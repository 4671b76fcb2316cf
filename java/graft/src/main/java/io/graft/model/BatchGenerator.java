package io.graft.model;

import io.graft.nn.KvCache;
import io.graft.tensor.Scope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
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

    /** @param rows how many are continued together at most */
    public BatchGenerator(Llama model, int rows) {
        if (rows < 1) {
            throw new IllegalArgumentException("BatchGenerator: " + rows + " rows");
        }
        this.model = model;
        // why: a side network's caches are one for each sequence; such models take them one by one.
        this.rows = model.decodesRows() ? rows : 1;
    }

    /** Continues all requests; the new tokens of each, in their order. */
    public List<int[]> generate(List<Request> requests, Listener listener) {
        int[][] results = new int[requests.size()][];
        List<Row> running = new ArrayList<>();
        Workspace work = null;
        Iterator<Request> waiting = requests.iterator();
        int next = 0;
        boolean changed = true;
        try (Workspace single = model.continuation(1)) {
            while (!running.isEmpty() || waiting.hasNext()) {
                while (running.size() < rows && waiting.hasNext()) {
                    running.add(start(waiting.next(), next++, single, listener));
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

    private Row start(Request request, int index, Workspace single, Listener listener) {
        Row row = new Row(
                index,
                new TokenStream(
                        model, request.adapter(), single, request.prompt(), request.count(), request.sampling()));
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
        if (running.size() == 1 && !model.decodesRows()) {
            Row row = running.get(0);
            row.made(row.stream.nextInt(), listener);
            return;
        }
        int[] ids = running.stream().mapToInt(row -> row.stream.last()).toArray();
        List<KvCache> caches = running.stream().map(row -> row.stream.cache()).toList();
        float[] logits;
        try (Scope step = model.scope().scope()) {
            logits = model.decodeRows(work, step, ids, caches).floats();
        }
        int vocabulary = logits.length / ids.length;
        for (int row = 0; row < ids.length; row++) {
            float[] own = Arrays.copyOfRange(logits, row * vocabulary, (row + 1) * vocabulary);
            running.get(row).made(running.get(row).stream.next(own), listener);
        }
    }
}
