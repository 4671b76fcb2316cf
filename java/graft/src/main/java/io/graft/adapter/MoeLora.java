package io.graft.adapter;

import io.graft.io.PeftMoeLoraConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Experts;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.Router;
import io.graft.nn.SharedBuffers;
import io.graft.ops.Random;
import io.graft.tensor.Context;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
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
public final class MoeLora extends PeftAdapter {
    private static final double ROUTER_DEVIATION = 0.02;

    private final PeftMoeLoraConfig config;
    private final long seed;
    private long offset = Lora.FIRST_OFFSET;
    private SharedBuffers buffers;
    private Router router;

    private MoeLora(PeftMoeLoraConfig config, long seed, Path source, boolean trained) {
        super(config, source, trained);
        this.config = config;
        this.seed = seed;
    }

    /** Fresh experts, to be trained. */
    public static MoeLora create(PeftMoeLoraConfig config, long seed) {
        return new MoeLora(config, seed, null, true);
    }

    /** An adapter from a directory, to be trained further. */
    public static MoeLora load(Path directory) {
        return new MoeLora(PeftMoeLoraConfig.read(directory), 0, directory, true);
    }

    /** An adapter from a directory, without gradients. */
    public static MoeLora frozen(Path directory) {
        return new MoeLora(PeftMoeLoraConfig.read(directory), 0, directory, false);
    }

    @Override
    public boolean mergeable() {
        return false;
    }

    @Override
    public int border(String module) {
        return 0;
    }

    @Override
    boolean servesCodes(String module) {
        return true;
    }

    @Override
    void attachFront(Adaptable model) {
        buffers = new SharedBuffers(model.scope());
        router = config.sigmoid()
                ? Router.sigmoid(model.scope(), model.dtype())
                : Router.softmax(
                        model.scope(),
                        model.dtype(),
                        config.router().topK(),
                        config.router().balance());
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        Experts.Form form = new Experts.Form(config.router().experts(), config.rank(), true, null, config.scale());
        String key = PREFIX + projection.module() + ".lora_";
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
            initialise(scope.context(), factors, rows);
        }
        down.refreshValue();
        up.refreshValue();
        return new Experts(scope, down, up, form, router, buffers);
    }

    private Parameter parameter(Scope scope, Projection projection, String key, long rows, long columns) {
        Tensor value = scope.tensor(Memory.ADAPTER, projection.dtype(), rows, columns);
        return train(scope, new Parameter(key, value));
    }

    private void initialise(Context context, Tensor factors, Tensor rows) {
        double bound = 1 / Math.sqrt(factors.size(1));
        Random.uniform(context, seed, offset, -bound, bound, factors);
        offset += factors.elements();
        Random.normal(context, seed, offset, 0, ROUTER_DEVIATION, rows);
        offset += rows.elements();
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
            if (key.endsWith(".lora_A.weight")) {
                long inner = value.size(0) - config.router().experts();
                tensors.put(key, value.rows(0, inner));
                tensors.put(key.replace(".lora_A.", ".lora_router."), value.rows(inner, value.size(0)));
            } else {
                tensors.put(key, value);
            }
        });
        return tensors;
    }

    public PeftMoeLoraConfig config() {
        return config;
    }
}
