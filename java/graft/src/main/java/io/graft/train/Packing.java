package io.graft.train;

import java.util.AbstractList;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Joins examples into rows, so that little of a batch is padding (arXiv 2107.02027): each goes behind the others of the
 * fullest row of its adapter that has room, or begins a row (best fit, in the order given). Examples of one row do not see
 * each other: the loss and the gradients of a batch are those of its examples in rows of their own.
 */
public final class Packing {
    private Packing() {}

    /**
     * The rows, in the order of their first examples: a list that joins the examples of a row each time it is asked for.
     *
     * @param length tokens that a row holds
     * @throws IllegalArgumentException if an example is longer, or is such a row itself
     */
    public static List<Example> rows(List<Example> examples, int length) {
        List<List<Integer>> rows = new ArrayList<>();
        Map<String, TreeMap<Integer, Deque<List<Integer>>>> rowsByRoom = new HashMap<>();
        for (int i = 0; i < examples.size(); i++) {
            Example example = examples.get(i);
            int tokens = example.ids().length;
            if (tokens > length || example.starts() != null) {
                throw new IllegalArgumentException("Packing: an example of " + tokens + " tokens"
                        + (example.starts() == null ? "" : " is packed") + ", a row has " + length);
            }
            TreeMap<Integer, Deque<List<Integer>>> byRoom =
                    rowsByRoom.computeIfAbsent(example.adapter(), name -> new TreeMap<>());
            Map.Entry<Integer, Deque<List<Integer>>> fullest = byRoom.ceilingEntry(tokens);
            List<Integer> row =
                    fullest == null ? new ArrayList<>() : fullest.getValue().remove();
            if (fullest == null) {
                rows.add(row);
            } else if (fullest.getValue().isEmpty()) {
                byRoom.remove(fullest.getKey());
            }
            row.add(i);
            int room = (fullest == null ? length : fullest.getKey()) - tokens;
            if (room > 0) {
                byRoom.computeIfAbsent(room, left -> new ArrayDeque<>()).add(row);
            }
        }
        return new AbstractList<>() {
            @Override
            public Example get(int index) {
                return join(rows.get(index).stream().map(examples::get).toList());
            }

            @Override
            public int size() {
                return rows.size();
            }
        };
    }

    private static Example join(List<Example> examples) {
        int tokens = examples.stream().mapToInt(example -> example.ids().length).sum();
        int[] ids = new int[tokens];
        int[] labels = new int[tokens];
        int[] starts = new int[tokens];
        int at = 0;
        for (Example example : examples) {
            int count = example.ids().length;
            System.arraycopy(example.ids(), 0, ids, at, count);
            System.arraycopy(example.labels(), 0, labels, at, count);
            Arrays.fill(starts, at, at + count, at);
            at += count;
        }
        return new Example(ids, labels, examples.get(0).adapter(), starts);
    }
}
