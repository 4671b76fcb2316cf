package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Observed;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.ops.Linear;
import io.graft.ops.TensorOps;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.SingularOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * What a fresh LoRA adapter takes from examples: sums are gathered of every targeted layer while the base model runs, then
 * each layer's factors come out of its sums. Layers with one input (q, k, v; gate, up) share what is gathered of it.
 */
final class ExampleStart {
    /** Of the mean of the covariance's diagonal, as CorDA damps it. */
    private static final double DAMPING = 0.01;

    /** γ of LoRA-GA's stable scale, section 3.3. */
    private static final double GAMMA = 16;

    private final LoraStart kind;
    private final Scope scope;
    private final Map<String, Observed> parts = new HashMap<>();
    private final Map<String, Observed.Inputs> inputs = new HashMap<>();
    private final Map<String, Tensor> gradients = new HashMap<>();
    private final Map<Long, Weight> likes = new HashMap<>();

    /** @param scope of what is gathered */
    ExampleStart(LoraStart kind, Scope scope) {
        this.kind = kind;
        this.scope = scope;
    }

    /** Gathers of this layer, or leaves it alone where another one has the same input. */
    Attachment observe(Projection projection) {
        String module = projection.module();
        Weight weight = projection.weight();
        DType dtype = Precision.accumulator(projection.dtype());
        if (kind == LoraStart.GRADIENT) {
            Tensor gradient = scope.tensor(Memory.GRADIENT, dtype, weight.n(), weight.k());
            gradients.put(module, gradient);
            return Observed.gradient(gradient);
        }
        if (parts.containsKey(input(module))) {
            return Observed.NOTHING;
        }
        long k = weight.k();
        Weight like =
                likes.computeIfAbsent(k, width -> scope.weight(scope.tensor(Memory.WORKSPACE, dtype, width, width)));
        Observed.Inputs wanted = new Observed.Inputs(
                scope.tensor(Memory.WORKSPACE, dtype, k, k),
                kind == LoraStart.ACTIVATIONS ? scope.tensor(Memory.WORKSPACE, dtype, k) : null,
                like);
        inputs.put(input(module), wanted);
        parts.put(input(module), Observed.inputs(wanted));
        return parts.get(input(module));
    }

    /** The name of what goes into a layer. */
    private static String input(String module) {
        return module.replaceFirst("[.](q|k|v)_proj$", ".qkv").replaceFirst("[.](gate|up)_proj$", ".gate_up");
    }

    /**
     * The directions in which inputs vary most, and the part of their variance that each explains: principal components.
     *
     * @param most how many, where there are as many
     */
    Factors.Triplets components(Projection projection, int most, long seed) {
        Observed part = parts.get(input(projection.module()));
        Observed.Inputs sums = inputs.get(input(projection.module()));
        int k = (int) projection.weight().k();
        double[] products = sums.products().doubles();
        double[] mean = sums.sums().doubles();
        double trace = 0;
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                products[i * k + j] -= mean[i] * mean[j] / part.rows();
            }
            trace += products[i * k + i];
        }
        expectPositive(projection, "inputs vary", trace);
        try (Scope inner = scope.context().scope()) {
            Tensor covariance = inner.tensor(Memory.WORKSPACE, DType.F32, k, k).set(products);
            Factors.Triplets found = Factors.strongest(covariance, Math.min(most, k), seed);
            for (int i = 0; i < found.s().length; i++) {
                found.s()[i] /= trace;
            }
            return found;
        }
    }

    /**
     * Ranks by what a layer's directions explain: the best of all layers' share the sum of the ranks, and layers with one
     * input get theirs in the order of the model.
     */
    static Map<String, Integer> shares(
            List<Projection> projections, Map<String, Factors.Triplets> components, PeftLoraConfig config) {
        record Direction(String module, double part) {}
        List<Direction> all = new ArrayList<>();
        Map<String, Integer> shares = new LinkedHashMap<>();
        int budget = 0;
        for (Projection projection : projections) {
            String module = projection.module();
            budget += config.rank(module);
            shares.put(module, 0);
            for (double part : components.get(module).s()) {
                all.add(new Direction(module, part));
            }
        }
        all.sort((one, two) -> Double.compare(two.part, one.part));
        for (Direction direction : all.subList(0, Math.min(budget, all.size()))) {
            shares.merge(direction.module, 1, Integer::sum);
        }
        return shares;
    }

    /** A = Vᵀ of the first rank directions; B = 0. */
    static void components(Factors.Triplets components, Tensor a) {
        int rank = (int) a.size(0);
        a.set(CommonOps_DDRM.extract(components.vt(), 0, rank, 0, (int) a.size(1)).data);
    }

    /** A and B of d_out^¼ / √γ times the first r right and the next r left singular vectors of the gradient. */
    void gradient(Projection projection, long seed, Tensor a, Tensor b) {
        int rank = (int) a.size(0);
        int n = (int) b.size(0);
        int k = (int) a.size(1);
        if (2 * rank > Math.min(n, k)) {
            throw new IllegalArgumentException("Lora: " + projection.module() + " is " + n + " x " + k
                    + "; LoRA-GA needs twice the rank, which is " + rank + ", within its sides");
        }
        Tensor sum = gradients.get(projection.module());
        double largest = Arrays.stream(sum.doubles()).map(Math::abs).max().orElse(0);
        expectPositive(projection, "gradient is not zero", largest);
        Factors.Triplets found = Factors.strongest(sum, 2 * rank, seed);
        double size = Math.pow(n, 0.25) / Math.sqrt(GAMMA);
        a.set(scaled(size, CommonOps_DDRM.extract(found.vt(), 0, rank, 0, k)).data);
        b.set(scaled(size, CommonOps_DDRM.extract(found.u(), 0, n, rank, 2 * rank)).data);
    }

    private static DMatrixRMaj scaled(double factor, DMatrixRMaj matrix) {
        CommonOps_DDRM.scale(factor, matrix);
        return matrix;
    }

    /**
     * B A = U Uᵀ W / scale for r left singular vectors U of W C, C the damped covariance of the inputs, in the shares
     * B = U √(S/scale) and A = √(S/scale) S⁻¹ Uᵀ W; the latter is CorDA's Vᵀ C⁻¹ without the inverse.
     */
    void covariance(Projection projection, double scale, long seed, Tensor a, Tensor b) {
        Observed part = parts.get(input(projection.module()));
        int k = (int) a.size(1);
        int rank = (int) a.size(0);
        double[] c = inputs.get(input(projection.module())).products().doubles();
        double trace = 0;
        for (int i = 0; i < c.length; i++) {
            c[i] /= part.sequences();
            trace += i % (k + 1) == 0 ? c[i] : 0;
        }
        expectPositive(projection, "inputs are not zero", trace);
        for (int i = 0; i < k; i++) {
            c[i * k + i] += DAMPING * trace / k;
        }
        Context context = scope.context();
        try (Scope inner = context.scope()) {
            Tensor covariance = inner.tensor(Memory.WORKSPACE, DType.F32, k, k).set(c);
            Tensor w = inner.tensor(Memory.WORKSPACE, DType.F32, b.size(0), k);
            TensorOps.copy(context, projection.weight().matrix(), w);
            Tensor product = inner.tensor(Memory.WORKSPACE, DType.F32, b.size(0), k);
            Linear.forward(context, w, inner.weight(covariance), null, false, product);
            Factors.Triplets found = kind == LoraStart.COVARIANCE_LARGEST
                    ? Factors.strongest(product, rank, seed)
                    : weakest(product, rank);
            DMatrixRMaj down =
                    CommonOps_DDRM.multTransA(found.u(), new DMatrixRMaj((int) b.size(0), k, true, w.doubles()), null);
            for (int i = 0; i < rank; i++) {
                expectPositive(projection, "singular value " + i + " of W C is positive", found.s()[i]);
                double root = Math.sqrt(found.s()[i] / scale);
                CommonOps_DDRM.scaleRow(root / found.s()[i], down, i);
                CommonOps_DDRM.scaleCol(root, found.u(), i);
            }
            a.set(down.data);
            b.set(found.u().data);
        }
    }

    /** The last r triplets, by the whole decomposition: no iteration finds them as cheaply. */
    private static Factors.Triplets weakest(Tensor m, int rank) {
        int n = (int) m.size(0);
        int k = (int) m.size(1);
        SingularValueDecomposition_F64<DMatrixRMaj> svd = DecompositionFactory_DDRM.svd(n, k, true, false, true);
        if (!svd.decompose(new DMatrixRMaj(n, k, true, m.doubles()))) {
            throw new ArithmeticException("a matrix has no decomposition: it holds NaN or infinity");
        }
        DMatrixRMaj u = svd.getU(null, false);
        DMatrixRMaj s = svd.getW(null);
        SingularOps_DDRM.descendingOrder(u, false, s, null, false);
        int all = Math.min(n, k);
        double[] last = new double[rank];
        for (int i = 0; i < rank; i++) {
            last[i] = s.get(all - rank + i, all - rank + i);
        }
        return new Factors.Triplets(CommonOps_DDRM.extract(u, 0, n, all - rank, all), last, null);
    }

    private void expectPositive(Projection projection, String what, double value) {
        if (!(value > 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException("Lora: " + kind + " needs examples in which the " + what + ", but for "
                    + projection.module() + " it is " + value);
        }
    }
}
