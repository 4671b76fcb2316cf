package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.tensor.Context;
import io.graft.tensor.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.SingularOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.QRDecomposition;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * One LoRA adapter that stands for {@code Σ wᵢ sᵢ Bᵢ Aᵢ} of several, in the numbers of PEFT's add_weighted_adapter: files in,
 * a file out, no model. Its scale is 1, so that {@code lora_alpha} is its rank.
 */
public final class LoraSum {
    /** How the factors of the sum are made. */
    public enum How {
        /**
         * Sums of factors of one rank, {@code A = Σ ±√|w s| Aᵢ} with the sign of w and {@code B = Σ √|w s| Bᵢ}: not the sum of
         * the products, whose mixed terms it adds.
         */
        LINEAR,
        /** All factors beside each other, A's multiplied by w s: exact, of the sum of the ranks. */
        CAT,
        /** The largest singular values of the sum: the nearest adapter of a rank. */
        SVD
    }

    private static final String A = ".lora_A.weight";
    private static final String B = ".lora_B.weight";

    /** An adapter's factors in one module, with w s. */
    private record Term(StoredTensors.Values a, StoredTensors.Values b, double weight, double scale) {
        int rank() {
            return (int) a.shape()[0];
        }
    }

    private record Adapter(Path folder, PeftLoraConfig config, Map<String, StoredTensors.Values> tensors) {}

    private LoraSum() {}

    /**
     * Writes the sum of LoRA adapters of one base.
     *
     * @param folders the adapters; with a single one every way is LINEAR
     * @param weights one for each, of any sign
     * @param rank of the result of SVD; 0: the largest of the adapters' ranks
     * @throws IllegalArgumentException if adapters do not fit each other, or hold more than plain LoRA, or if the rank of
     *     SVD is more than that of a whole weight
     */
    public static void write(Context context, List<Path> folders, double[] weights, How how, int rank, Path out) {
        if (folders.isEmpty() || weights.length != folders.size()) {
            throw new IllegalArgumentException(
                    "LoraSum: " + weights.length + " weights for " + folders.size() + " adapters");
        }
        List<Adapter> adapters = new ArrayList<>();
        for (Path folder : folders) {
            PeftLoraConfig config = PeftLoraConfig.read(folder);
            if (!config.beside().isEmpty()) {
                throw new IllegalArgumentException(
                        folder + ": an adapter with " + config.beside() + " has no sum with others");
            }
            adapters.add(new Adapter(folder, config, StoredTensors.read(context, folder)));
        }
        How way = folders.size() == 1 ? How.LINEAR : how;
        int most = adapters.stream()
                .mapToInt(one -> one.config.largestRank())
                .max()
                .orElseThrow();
        int result = switch (way) {
            case LINEAR -> most;
            case CAT ->
                adapters.stream().mapToInt(one -> one.config.largestRank()).sum();
            case SVD -> rank == 0 ? most : rank;
        };
        PeftLoraConfig config =
                PeftLoraConfig.sum(adapters.stream().map(Adapter::config).toList(), result);
        Map<String, StoredTensors.Values> sum = new LinkedHashMap<>();
        for (String module : modules(adapters)) {
            String name = module.substring(PeftAdapter.PREFIX.length());
            if (!config.targets(name)) {
                throw new IllegalArgumentException("LoraSum: " + config + " of " + adapters.get(0).folder + " excludes "
                        + name + ", which another adapter changes");
            }
            List<Term> terms = terms(module, adapters, weights);
            long whole = Math.min(terms.get(0).a().shape()[1], terms.get(0).b().shape()[0]);
            if (way == How.SVD && rank > whole) {
                throw new IllegalArgumentException(
                        "LoraSum: rank " + rank + " is more than " + whole + ", the full rank of " + name);
            }
            add(module, way, result, terms, sum);
        }
        try (Scope scope = context.scope()) {
            PeftAdapter.write(out, config, List.of(), StoredTensors.tensors(scope, sum));
        }
    }

    private static Set<String> modules(List<Adapter> adapters) {
        Set<String> modules = new LinkedHashSet<>();
        for (Adapter adapter : adapters) {
            for (String key : adapter.tensors.keySet()) {
                boolean factor = key.startsWith(PeftAdapter.PREFIX) && (key.endsWith(A) || key.endsWith(B));
                String module = factor ? key.substring(0, key.length() - A.length()) : key;
                if (!adapter.tensors.containsKey(module + A) || !adapter.tensors.containsKey(module + B)) {
                    throw new IllegalArgumentException(
                            adapter.folder + ": the tensor " + key + " is not one of a pair lora_A, lora_B");
                }
                modules.add(module);
            }
        }
        return modules;
    }

    private static List<Term> terms(String module, List<Adapter> adapters, double[] weights) {
        List<Term> terms = new ArrayList<>();
        for (int i = 0; i < weights.length; i++) {
            Adapter adapter = adapters.get(i);
            StoredTensors.Values a = adapter.tensors.get(module + A);
            if (a != null) {
                StoredTensors.Values b = adapter.tensors.get(module + B);
                double scale = adapter.config.scale(module.substring(PeftAdapter.PREFIX.length()));
                Term term = new Term(a, b, weights[i], scale);
                Term first = terms.isEmpty() ? term : terms.get(0);
                if (a.shape()[1] != first.a.shape()[1]
                        || b.shape()[0] != first.b.shape()[0]
                        || b.shape()[1] != a.shape()[0]) {
                    throw new IllegalArgumentException(adapter.folder + ": " + module + " is " + b.shape()[0] + " x "
                            + a.shape()[1] + " of ranks " + b.shape()[1] + " and " + a.shape()[0]
                            + ", which is no layer of " + adapters.get(0).folder);
                }
                terms.add(term);
            }
        }
        return terms;
    }

    private static void add(String module, How way, int rank, List<Term> terms, Map<String, StoredTensors.Values> sum) {
        int k = (int) terms.get(0).a.shape()[1];
        int n = (int) terms.get(0).b.shape()[0];
        float[] a = new float[rank * k];
        float[] b = new float[n * rank];
        switch (way) {
            case LINEAR -> linear(module, terms, rank, a, b);
            case CAT -> concatenate(terms, rank, k, n, a, b);
            case SVD -> strongest(terms, rank, k, n, a, b);
        }
        sum.put(module + A, StoredTensors.Values.of(a, rank, k));
        sum.put(module + B, StoredTensors.Values.of(b, n, rank));
    }

    /** why float by float: PEFT rounds weights, products and sums so, and the files shall be equal. */
    private static void linear(String module, List<Term> terms, int rank, float[] a, float[] b) {
        for (Term term : terms) {
            if (term.rank() != rank) {
                throw new IllegalArgumentException("LoraSum: the ranks of " + module + " are "
                        + terms.stream().map(Term::rank).toList() + " where the largest of all is " + rank
                        + "; sums of factors need equal ranks, take cat or svd");
            }
            double product = term.weight * term.scale;
            float root = (float) Math.sqrt(Math.abs(product));
            addTo(a, term.a.floats(), product < 0 ? -root : root);
            addTo(b, term.b.floats(), root);
        }
    }

    private static void addTo(float[] sum, float[] values, float factor) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += values[i] * factor;
        }
    }

    private static void concatenate(List<Term> terms, int rank, int k, int n, float[] a, float[] b) {
        int first = 0;
        for (Term term : terms) {
            float[] from = term.a.floats();
            for (int i = 0; i < from.length; i++) {
                a[first * k + i] = from[i] * (float) term.weight * (float) term.scale;
            }
            for (int i = 0; i < n; i++) {
                System.arraycopy(term.b.floats(), i * term.rank(), b, i * rank + first, term.rank());
            }
            first += term.rank();
        }
    }

    /** A = Vᵀ, B = U S of {@code Bᶜ Aᶜ}, the factors beside each other, by the small core of their bases. */
    private static void strongest(List<Term> terms, int rank, int k, int n, float[] a, float[] b) {
        int all = terms.stream().mapToInt(Term::rank).sum();
        DMatrixRMaj down = new DMatrixRMaj(k, all);
        DMatrixRMaj up = new DMatrixRMaj(n, all);
        int first = 0;
        for (Term term : terms) {
            int own = term.rank();
            for (int r = 0; r < own; r++) {
                for (int j = 0; j < k; j++) {
                    down.set(j, first + r, term.weight * term.scale * term.a.floats()[r * k + j]);
                }
                for (int i = 0; i < n; i++) {
                    up.set(i, first + r, term.b.floats()[i * own + r]);
                }
            }
            first += own;
        }
        QRDecomposition<DMatrixRMaj> right = factored(down);
        QRDecomposition<DMatrixRMaj> left = factored(up);
        DMatrixRMaj core = CommonOps_DDRM.multTransB(left.getR(null, true), right.getR(null, true), null);
        SingularValueDecomposition_F64<DMatrixRMaj> svd =
                DecompositionFactory_DDRM.svd(core.numRows, core.numCols, true, true, true);
        if (!svd.decompose(core)) {
            throw new ArithmeticException("LoraSum: an adapter holds NaN or infinity");
        }
        DMatrixRMaj u = svd.getU(null, false);
        DMatrixRMaj s = svd.getW(null);
        DMatrixRMaj v = svd.getV(null, false);
        SingularOps_DDRM.descendingOrder(u, false, s, v, false);
        DMatrixRMaj outer = CommonOps_DDRM.mult(left.getQ(null, true), u, null);
        DMatrixRMaj inner = CommonOps_DDRM.mult(right.getQ(null, true), v, null);
        // What is beyond the sum's own rank stays zero.
        for (int r = 0; r < Math.min(rank, Math.min(s.numRows, s.numCols)); r++) {
            for (int j = 0; j < k; j++) {
                a[r * k + j] = (float) inner.get(j, r);
            }
            for (int i = 0; i < n; i++) {
                b[i * rank + r] = (float) (outer.get(i, r) * s.get(r, r));
            }
        }
    }

    private static QRDecomposition<DMatrixRMaj> factored(DMatrixRMaj matrix) {
        QRDecomposition<DMatrixRMaj> qr = DecompositionFactory_DDRM.qr(matrix.numRows, matrix.numCols);
        if (!qr.decompose(matrix)) {
            throw new ArithmeticException("LoraSum: an adapter holds NaN or infinity");
        }
        return qr;
    }
}
