package io.graft.adapter;

import io.graft.io.PeftLoraConfig;
import io.graft.io.PeftMoeLoraConfig;
import io.graft.io.RouterSettings;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Experts;
import io.graft.nn.LowRank;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.Router;
import io.graft.ops.RowScale;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Mixtures of LoRA experts in each targeted projection, weighed for each token by a router on the projection's input: all
 * of them (MOELoRA, arXiv 2310.18339, section 3.3) or the k best (MixLoRA, arXiv 2404.15159, section 3.2), with a loss
 * that keeps the experts in equal use. Fresh adapters are the base model: B is zero, A uniform in ±1/√in and the router
 * N(0, 0.02²).
 *
 * <p>PEFT does not know them. A file holds, for each module, {@code lora_A.weight} [experts · r, in], {@code
 * lora_B.weight} [out, experts · r] and {@code lora_router.weight} [experts, in].
 */
public final class MoeLora extends PeftAdapter<PeftMoeLoraConfig> {
    private static final double ROUTER_DEVIATION = 0.02;

    private final Map<String, Lora> given;
    private final Map<Projection, List<LowRank>> givenParts = new HashMap<>();
    private Router router;

    private MoeLora(PeftMoeLoraConfig config, Map<String, Lora> given, Origin origin) {
        super(config, origin);
        this.given = given;
    }

    /** Fresh experts, to be trained. */
    public static MoeLora create(PeftMoeLoraConfig config, long seed) {
        return new MoeLora(config, Map.of(), Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static MoeLora load(Path directory) {
        return new MoeLora(PeftMoeLoraConfig.read(directory), Map.of(), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static MoeLora frozen(Path directory) {
        return new MoeLora(PeftMoeLoraConfig.read(directory), Map.of(), Origin.of(directory, false));
    }

    /**
     * A fresh router over LoRA adapters that are trained already and stay as they are (MoLE, arXiv 2404.13628; X-LoRA, arXiv
     * 2402.07148). They may differ in rank and scale, not in the modules that they have. The file holds them too.
     *
     * @param adapters directories in PEFT's layout, by a name for messages
     */
    public static MoeLora over(String baseModel, Map<String, Path> adapters, int topK, double balance, long seed) {
        Map<String, Lora> given = new LinkedHashMap<>();
        adapters.forEach((name, directory) -> given.put(name, Lora.frozen(directory)));
        LoraSet.expectPlain("MoeLora", given);
        List<PeftLoraConfig> configs = given.values().stream().map(Lora::config).toList();
        int rank = configs.stream().mapToInt(PeftLoraConfig::largestRank).max().orElseThrow();
        PeftMoeLoraConfig config =
                PeftMoeLoraConfig.of(baseModel, configs.get(0), rank, new RouterSettings(given.size(), topK, balance));
        return new MoeLora(config, given, Origin.fresh(seed));
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    void attachFront(Adaptable model) {
        router = config.sigmoid()
                ? Router.sigmoid(model.scope(), model.dtype())
                : Router.softmax(
                        model.scope(),
                        model.dtype(),
                        config.router().topK(),
                        config.router().balance());
        given.forEach((name, lora) -> {
            lora.attach(model);
            for (Projection projection : model.projections()) {
                LowRank low = (LowRank) projection.attachment();
                projection.detach();
                if ((low != null) != config.targets(projection.module())) {
                    throw new IllegalArgumentException("MoeLora: adapter '" + name + "' and '"
                            + given.keySet().iterator().next() + "' differ at " + projection.module());
                }
                if (low != null) {
                    givenParts
                            .computeIfAbsent(projection, key -> new ArrayList<>())
                            .add(low);
                }
            }
        });
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Experts.Form form = new Experts.Form(config.router().experts(), config.rank(), true, null, config.scale());
        String key = PREFIX + projection.module() + ".lora_";
        if (!given.isEmpty()) {
            return over(scope, projection, form, key);
        }
        long inputs = projection.weight().k();
        int inner = form.down() - form.experts();
        Parameter down = parameter(scope, projection, key + "A.weight", form.down(), inputs);
        Parameter up = parameter(
                scope, projection, key + "B.weight", projection.weight().n(), inner);
        Tensor factors = down.best().rows(0, inner);
        Tensor rows = down.best().rows(inner, form.down());
        if (fromFile()) {
            read(key + "A.weight", factors);
            read(key + "router.weight", rows);
            read(key + "B.weight", up.best());
        } else {
            kaiming(inputs).accept(factors);
            normal(rows, 0, ROUTER_DEVIATION);
        }
        down.refreshValue();
        up.refreshValue();
        return new Experts(scope, down, up, form, router, buffers());
    }

    /** The given adapters side by side, narrower ones with zeros behind, and scale over that of the configuration in B. */
    private Attachment over(Scope scope, Projection projection, Experts.Form form, String key) {
        int inner = form.down() - form.experts();
        Tensor a = scope.tensor(
                Memory.ADAPTER, projection.dtype(), inner, projection.weight().k());
        Tensor b = scope.tensor(
                Memory.ADAPTER, projection.dtype(), projection.weight().n(), inner);
        int first = 0;
        for (LowRank low : givenParts.get(projection)) {
            Tensor up = low.b().value();
            try (Scope temporary = scope.scope()) {
                Tensor factor = temporary.tensor(Memory.WORKSPACE, up.dtype(), up.size(0));
                TensorOps.fill(scope.context(), low.scale() / config.scale(), factor);
                Tensor scaled = temporary.tensor(Memory.WORKSPACE, up.dtype(), up.shape());
                RowScale.forward(scope.context(), up, factor, scaled);
                TensorOps.copy(scope.context(), scaled, b.columns(first, first + low.rank()));
            }
            TensorOps.copy(scope.context(), low.a().value(), a.rows(first, first + low.rank()));
            first += config.rank();
        }
        constant(key + "A.weight", a);
        constant(key + "B.weight", b);
        Tensor zeros = scope.tensor(
                Memory.ADAPTER,
                projection.dtype(),
                form.experts(),
                projection.weight().k());
        Parameter rows = parameter(scope, key + "router.weight", zeros, normal(ROUTER_DEVIATION));
        return new Experts(
                scope,
                new Parameter(key + "A.weight", a),
                rows,
                new Parameter(key + "B.weight", b),
                form,
                router,
                buffers());
    }

    private Parameter parameter(Scope scope, Projection projection, String key, long rows, long columns) {
        Tensor value = scope.tensor(Memory.ADAPTER, projection.dtype(), rows, columns);
        return train(scope, new Parameter(key, value));
    }

    /** The loss that keeps the experts in equal use; its gradients are there already. */
    @Override
    public double regularise() {
        return router.takeLoss();
    }

    @Override
    Map<String, Tensor> tensors() {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        super.tensors().forEach((key, value) -> {
            if (given.isEmpty() && key.endsWith(".lora_A.weight")) {
                long inner = value.size(0) - config.router().experts();
                tensors.put(key, value.rows(0, inner));
                tensors.put(key.replace(".lora_A.", ".lora_router."), value.rows(inner, value.size(0)));
            } else {
                tensors.put(key, value);
            }
        });
        return tensors;
    }
}
