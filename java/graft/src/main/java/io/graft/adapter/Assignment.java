package io.graft.adapter;

import java.util.Arrays;

/**
 * The cheapest one-to-one assignment of columns to rows of a square matrix, by shortest augmenting paths over reduced costs
 * (the Hungarian method in Jonker and Volgenant's form): O(n³) and exact.
 */
final class Assignment {
    private Assignment() {}

    /** The column of each row. */
    static int[] cheapest(double[][] cost) {
        int n = cost.length;
        double[] rowPrice = new double[n + 1];
        double[] columnPrice = new double[n + 1];
        // Column n is where a new row enters; rowOf[j] is the row that column j is assigned to, n for none.
        int[] rowOf = new int[n + 1];
        Arrays.fill(rowOf, n);
        for (int row = 0; row < n; row++) {
            double[] distance = new double[n];
            int[] before = new int[n];
            boolean[] visited = new boolean[n + 1];
            Arrays.fill(distance, Double.POSITIVE_INFINITY);
            rowOf[n] = row;
            int column = n;
            while (rowOf[column] < n) {
                visited[column] = true;
                int at = rowOf[column];
                int next = -1;
                for (int j = 0; j < n; j++) {
                    if (!visited[j]) {
                        double reduced = cost[at][j] - rowPrice[at] - columnPrice[j];
                        if (reduced < distance[j]) {
                            distance[j] = reduced;
                            before[j] = column;
                        }
                        if (next < 0 || distance[j] < distance[next]) {
                            next = j;
                        }
                    }
                }
                double step = distance[next];
                for (int j = 0; j <= n; j++) {
                    if (visited[j]) {
                        rowPrice[rowOf[j]] += step;
                        columnPrice[j] -= step;
                    } else if (j < n) {
                        distance[j] -= step;
                    }
                }
                column = next;
            }
            while (column != n) {
                int previous = before[column];
                rowOf[column] = rowOf[previous];
                column = previous;
            }
        }
        int[] columnOf = new int[n];
        for (int j = 0; j < n; j++) {
            columnOf[rowOf[j]] = j;
        }
        return columnOf;
    }
}
