package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * What configurations of mixtures say about their routers: {@code num_experts}, {@code top_k} and {@code
 * router_aux_loss_coef}.
 *
 * @param experts how many experts each module has
 * @param topK how many of them serve a token
 * @param balance the weight of the loss that keeps experts in equal use; 0 for none
 */
public record RouterSettings(int experts, int topK, double balance) {
    static RouterSettings of(JsonFields fields) {
        int experts = fields.positive("num_experts", 4);
        int topK = fields.positive("top_k", experts);
        double balance = fields.number("router_aux_loss_coef", 0);
        if (topK > experts) {
            throw fields.refuse("top_k", "is " + topK + " of " + experts + " experts");
        }
        if (!(balance >= 0 && balance < Double.POSITIVE_INFINITY)) {
            throw fields.refuse("router_aux_loss_coef", "is " + balance + ", expected >= 0");
        }
        return new RouterSettings(experts, topK, balance);
    }

    void write(ObjectNode json) {
        json.put("num_experts", experts).put("top_k", topK);
        json.set("router_aux_loss_coef", PeftLoraConfigBuilder.number(balance));
    }
}
