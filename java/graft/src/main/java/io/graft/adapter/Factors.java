package io.graft.adapter;

import io.graft.ops.Linear;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.Arrays;
import java.util.function.Function;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.SingularOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.QRDecomposition;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * Two thin factors of a matrix, {@code scale · B A ≈ M} with A [r, K] and B [N, r]: its strongest directions, or an
 * orthonormal basis of its first columns. M itself is only multiplied by r columns and some more at a time.
 */
public final class Factors {
    /** Directions that are followed beside the r wanted ones, so that the last of those settle too. */
    private static final int OVERSAMPLING = 16;

    /** why 16: what is left of the weaker directions falls with the 32nd power; each costs two products of M. */
    private static final int ITERATIONS = 16;

    private final Context context;
    private final Weight matrix;

    /** @param matrix M in fp32 */
    private Factors(Context context, Weight matrix) {
        this.context = context;
        this.matrix = matrix;
    }

    /**
     * Singular triplets, the largest first: M ≈ U diag(s) Vᵀ.
     *
     * @param u [N, r], orthonormal columns
     * @param vt [r, K], orthonormal rows
     */
    record Triplets(DMatrixRMaj u, double[] s, DMatrixRMaj vt) {}

    /**
     * The r largest singular values with their vectors, shared evenly between the factors: a = √(S/scale) Vᵀ, b = U
     * √(S/scale) (PiSSA, arXiv 2404.02948, section 3).
     *
     * @param seed of the directions that the iteration starts from
     */
    static void principal(Tensor m, double scale, long seed, Tensor a, Tensor b) {
        Triplets strongest = strongest(m, (int) a.size(0), seed);
        for (int i = 0; i < strongest.s.length; i++) {
            double root = Math.sqrt(strongest.s[i] / scale);
            CommonOps_DDRM.scaleRow(root, strongest.vt, i);
            CommonOps_DDRM.scaleCol(root, strongest.u, i);
        }
        a.set(strongest.vt.data);
        b.set(strongest.u.data);
    }

    /**
     * The largest singular values with their vectors, by subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061,
     * algorithm 4.4): exact up to rounding where rank + 16 directions are all there are.
     *
     * @param seed of the directions that the iteration starts from
     */
    static Triplets strongest(Tensor m, int rank, long seed) {
        return with(m, rank, factors -> factors.followStrongest(rank, seed));
    }

    /**
     * Orthonormal rows that span the strongest directions of M: as many as there are rows to fill.
     *
     * @param m [N, K], not zero
     * @param left whether the directions are those of M's columns, {@code into} [r, N], or of its rows, [r, K]
     * @param seed of the directions that the iteration starts from
     */
    public static void directions(Tensor m, boolean left, long seed, Tensor into) {
        Triplets strongest = strongest(m, (int) into.size(0), seed);
        into.set(left ? CommonOps_DDRM.transpose(strongest.u, null).data : strongest.vt.data);
    }

    /** b = the first r columns of Q and a = the first r rows of R in M = Q R (OLoRA, arXiv 2406.01775, section 3). */
    static void orthogonal(Tensor m, Tensor a, Tensor b) {
        with(m, (int) a.size(0), factors -> {
            factors.splitFirst(m, a, b);
            return null;
        });
    }

    private static <T> T with(Tensor m, int rank, Function<Factors, T> work) {
        if (rank > Math.min(m.size(0), m.size(1))) {
            throw new IllegalArgumentException(
                    "the rank is " + rank + ", above the sides of the matrix " + m.size(0) + " x " + m.size(1));
        }
        Context context = m.scope().context();
        try (Scope scope = context.scope()) {
            Tensor wide = m;
            if (m.dtype() != DType.F32) {
                wide = scope.tensor(Memory.WORKSPACE, DType.F32, m.size(0), m.size(1));
                TensorOps.copy(context, m, wide);
            }
            return work.apply(new Factors(context, scope.weight(wide)));
        }
    }

    private Triplets followStrongest(int rank, long seed) {
        int n = (int) matrix.n();
        int k = (int) matrix.k();
        int directions = Math.min(rank + OVERSAMPLING, Math.min(n, k));
        try (Scope scope = context.scope()) {
            Tensor left = scope.tensor(Memory.WORKSPACE, DType.F32, directions, n);
            Tensor right = scope.tensor(Memory.WORKSPACE, DType.F32, directions, k);
            Random.normal(context, seed, 0, 0, 1, right);
            for (int i = 0; i < ITERATIONS; i++) {
                Linear.forward(context, right, matrix, null, false, left);
                store(orthonormal(left), left);
                Linear.backward(context, left, null, matrix, false, right, null, null);
                store(orthonormal(right), right);
            }
            Linear.forward(context, right, matrix, null, false, left);
            // left = (M Vᵀ)ᵀ for the orthonormal rows V of right, so that M ≈ leftᵀ V.
            SingularValueDecomposition_F64<DMatrixRMaj> svd =
                    DecompositionFactory_DDRM.svd(n, directions, true, true, true);
            decomposed(svd.decompose(columns(left)));
            DMatrixRMaj u = svd.getU(null, false);
            DMatrixRMaj s = svd.getW(null);
            DMatrixRMaj turn = svd.getV(null, true);
            SingularOps_DDRM.descendingOrder(u, false, s, turn, true);
            DMatrixRMaj v = new DMatrixRMaj(directions, k);
            CommonOps_DDRM.multTransB(turn, columns(right), v);
            double[] largest = new double[rank];
            Arrays.setAll(largest, i -> s.get(i, i));
            return new Triplets(
                    CommonOps_DDRM.extract(u, 0, n, 0, rank), largest, CommonOps_DDRM.extract(v, 0, rank, 0, k));
        }
    }

    private void splitFirst(Tensor m, Tensor a, Tensor b) {
        int rank = (int) a.size(0);
        DMatrixRMaj first =
                new DMatrixRMaj((int) m.size(0), rank, true, m.columns(0, rank).doubles());
        DMatrixRMaj basis = basis(first);
        try (Scope scope = context.scope()) {
            Tensor q = scope.tensor(Memory.WORKSPACE, DType.F32, rank, matrix.n());
            Tensor r = scope.tensor(Memory.WORKSPACE, DType.F32, rank, matrix.k());
            store(basis, q);
            Linear.backward(context, q, null, matrix, false, r, null, null);
            TensorOps.copy(context, r, a);
            b.set(basis.data);
        }
    }

    /** An orthonormal basis of the rows' span, in columns. */
    private static DMatrixRMaj orthonormal(Tensor rows) {
        return basis(columns(rows));
    }

    /** An orthonormal basis of the columns' span, which are overwritten. */
    private static DMatrixRMaj basis(DMatrixRMaj columns) {
        QRDecomposition<DMatrixRMaj> qr = DecompositionFactory_DDRM.qr(columns.numRows, columns.numCols);
        decomposed(qr.decompose(columns));
        return qr.getQ(null, true);
    }

    private static DMatrixRMaj columns(Tensor rows) {
        int count = (int) rows.size(0);
        int length = (int) rows.size(1);
        float[] from = rows.floats();
        DMatrixRMaj columns = new DMatrixRMaj(length, count);
        for (int i = 0; i < count; i++) {
            for (int j = 0; j < length; j++) {
                columns.data[j * count + i] = from[i * length + j];
            }
        }
        return columns;
    }

    private static void store(DMatrixRMaj columns, Tensor rows) {
        rows.set(CommonOps_DDRM.transpose(columns, null).data);
    }

    private static void decomposed(boolean success) {
        if (!success) {
            throw new ArithmeticException("a matrix has no decomposition: it holds NaN or infinity");
        }
    }
}
