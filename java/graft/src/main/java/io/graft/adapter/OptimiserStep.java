package io.graft.adapter;

import io.graft.nn.Parameter;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.function.Function;

/**
 * A step of the optimiser as an adapter sees it: made, with its gradients still in place.
 *
 * @param number counted from 1
 * @param rate its learning rate, before a parameter's own factor
 * @param moments what the optimiser carries from step to step for a trained parameter, each of the parameter's shape: of
 *     AdamW the running means of the gradient and of its square; for an optimiser without such state an empty list
 */
public record OptimiserStep(long number, double rate, Function<Parameter, List<Tensor>> moments) {}
