package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of mixtures of LoRA experts (arXiv 2310.18339, 2404.15159), which PEFT does not have: its
 * layout with {@code peft_type} MOE_LORA and {@link RouterSettings} beside LoRA's {@code r}, of each expert, and {@code lora_alpha}. {@code router} is softmax, or sigmoid for gates that each
 * stand alone (UniPELT, arXiv 2110.07577).
 */
public final class PeftMoeLoraConfig extends PeftConfig {
    private final int rank;
    private final double alpha;
    private final RouterSettings router;
    private final boolean sigmoid;

    PeftMoeLoraConfig(JsonFields fields) {
        super(fields, "MOE_LORA", LlamaConfig.PROJECTIONS);
        refuseUnless(fields, "bias", Json.toNode("none"));
        this.rank = fields.positive("r", 8);
        this.alpha = fields.number("lora_alpha", 8);
        this.router = RouterSettings.of(fields);
        String kind = fields.text("router", "softmax");
        this.sigmoid = kind.equals("sigmoid");
        if (!sigmoid && !kind.equals("softmax")) {
            throw fields.refuse("router", "is '" + kind + "', supported are softmax and sigmoid");
        }
        if (sigmoid && (router.balance() > 0 || router.topK() < router.experts())) {
            throw fields.refuse("router", "is sigmoid, which has neither top_k nor router_aux_loss_coef");
        }
        if (fields.number("lora_dropout", 0) != 0) {
            throw fields.refuse("lora_dropout", "is " + fields.number("lora_dropout", 0) + ", supported is 0");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a mixture of LoRA experts
     */
    public static PeftMoeLoraConfig read(Path path) {
        return new PeftMoeLoraConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftMoeLoraConfig parse(String where, String json) {
        return new PeftMoeLoraConfig(JsonFields.parse(where, json));
    }

    /** Experts of this rank. */
    public static PeftMoeLoraConfig of(
            String baseModel, List<String> targets, int rank, double alpha, RouterSettings router) {
        ObjectNode json = base(baseModel, targets, rank, alpha).put("router", "softmax");
        router.write(json);
        return new PeftMoeLoraConfig(new JsonFields("new MoE-LoRA configuration", json));
    }

    /** Experts of this rank and scale 1, at the modules that an adapter has. */
    public static PeftMoeLoraConfig of(String baseModel, PeftLoraConfig like, int rank, RouterSettings router) {
        ObjectNode json = base(baseModel, List.of(), rank, rank).put("router", "softmax");
        router.write(json);
        for (String field : List.of("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")) {
            json.set(field, like.json().get(field));
        }
        return new PeftMoeLoraConfig(new JsonFields("new MoE-LoRA configuration", json));
    }

    /** One expert with a gate of its own: LoRA that each token lets in as far as it wants. */
    public static PeftMoeLoraConfig gated(String baseModel, List<String> targets, int rank, double alpha) {
        ObjectNode json = base(baseModel, targets, rank, alpha);
        json.put("num_experts", 1).put("router", "sigmoid");
        return new PeftMoeLoraConfig(new JsonFields("new gated LoRA configuration", json));
    }

    private static ObjectNode base(String baseModel, List<String> targets, int rank, double alpha) {
        ObjectNode json = fresh("MOE_LORA", baseModel);
        json.put("bias", "none").put("r", rank);
        json.set("lora_alpha", PeftLoraConfigBuilder.number(alpha));
        json.set("target_modules", Json.toNode(targets));
        return json;
    }

    /** The rank of each expert. */
    public int rank() {
        return rank;
    }

    /** What each expert's BA is multiplied by, beside its gate: alpha / r. */
    public double scale() {
        return alpha / rank;
    }

    public RouterSettings router() {
        return router;
    }

    /** Whether gates are sigmoids, each by itself. */
    public boolean sigmoid() {
        return sigmoid;
    }

    @Override
    public String toString() {
        return "PeftMoeLoraConfig[r=" + rank + ", num_experts=" + router.experts() + ", top_k=" + router.topK()
                + ", target_modules=" + json().get("target_modules") + "]";
    }
}
