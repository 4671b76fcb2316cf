package io.graft.adapter;

import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Prefix;
import io.graft.nn.Projection;
import io.graft.nn.Prompt;
import io.graft.nn.SideNetwork;
import io.graft.tensor.Tensor;
import io.graft.tensor.WeightForm;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.IntConsumer;

/** A way to train a model: says which weights need a border, attaches to the model, and owns what is trained. */
public interface Adapter {
    /** The border that a projection's weight needs, before it is allocated; 0 for none. */
    default int border(String module) {
        return 0;
    }

    /** Sees the matrix [n, k] that the weight of a projection has just been quantised from, before {@link #attach}. */
    default void quantized(Projection projection, Tensor matrix) {}

    /** The form that a projection's weight needs where the base is dense, before it is allocated; null for any. */
    default WeightForm form(String module) {
        return null;
    }

    /** Makes the trained parameters. Called once, when the base model's weights are in place. */
    void attach(Adaptable model);

    /** Whether {@link #calibrate} has to run before training. */
    default boolean needsCalibration() {
        return false;
    }

    /** Whether {@link #calibrate} looks at gradients, so that a pass has to run backward too. */
    default boolean needsGradients() {
        return true;
    }

    /**
     * Looks at examples before training, which may change {@link #parameters()}.
     *
     * @param examples how many passes to run
     * @param pass runs the model on one example, by its number: loss, or loss and gradients
     */
    default void calibrate(int examples, IntConsumer pass) {
        throw new IllegalStateException(getClass().getSimpleName() + ".calibrate: there is nothing to look for");
    }

    /** Virtual tokens that stand before every sequence, from {@link #attach} on; null for none. */
    default Prompt prompt() {
        return null;
    }

    /** Keys and values that stand before every sequence, from {@link #attach} on; null for none. */
    default Prefix prefix() {
        return null;
    }

    /** A network beside the blocks, from {@link #attach} on; null for none. */
    default SideNetwork side() {
        return null;
    }

    /** What the adapter consists of, in a fixed order; empty before {@link #attach}. */
    List<Parameter> parameters();

    /** The name of a parameter in the file that it is saved in. */
    default String key(Parameter parameter) {
        return parameter.name();
    }

    /** The adapters that the rows of a batch choose between; empty where all rows have the same. */
    default List<String> names() {
        return List.of();
    }

    /** Whether the parameters have gradients. */
    default boolean trained() {
        return true;
    }

    /** Adds the gradient of the adapter's own part of the loss to its parameters', and returns that part. */
    default double regularise() {
        return 0;
    }

    /** Whether forward passes suffice to train it, by an optimiser that never asks for gradients. */
    default boolean trainsWithoutGradients() {
        return true;
    }

    /** Whether {@link #stepped} changes {@link OptimiserStep#moments}, which are then to be what they are, not codes. */
    default boolean changesMoments() {
        return false;
    }

    /**
     * Whether passes with gradients over batches of one shape make the same calls of ops, with the same numbers, on the same
     * memory, so that a graph may do them again. What draws through its pass, or moves values over the bus in it, need not say
     * so: a graph refuses that.
     */
    default boolean repeats() {
        return true;
    }

    /** Another number where memory that its passes share, whatever their shape, is no longer where it was. */
    default long memory() {
        return 0;
    }

    /**
     * Told how many steps training will have: before the first one, and again should that change.
     *
     * @param steps {@link Long#MAX_VALUE} where it is not known
     */
    default void starting(long steps) {}

    /** Sees the parameters after each optimiser step, with the gradients of that step, and may change them. */
    default void stepped(OptimiserStep step) {}

    /**
     * What {@link #calibrate} should see while training.
     *
     * @param examples the hardest ones, one at a time
     * @param steps out of the batches of so many last steps
     */
    record Recalibration(int examples, long steps) {}

    /** Asked after each step: what {@link #calibrate} should see before the next one, or null. */
    default Recalibration recalibration() {
        return null;
    }

    /** What {@link #stepped} keeps from step to step, by name: part of a training checkpoint. */
    default Map<String, Tensor> state() {
        return Map.of();
    }

    /**
     * Makes {@link #state} such that a checkpoint's fits: called before it is read, for state whose shape changes.
     *
     * @param shapes the shape of each tensor of the state in the checkpoint, by name; throws where there is none
     */
    default void restoring(Function<String, long[]> shapes) {}

    /** Parameters and {@link #state} are those of a checkpoint now, made after so many steps. */
    default void restored(long steps) {}

    /** To be called after trained parameters changed. */
    void changed();

    /** Whether the base stays as it is beside what is attached to projections; not where it gives something up or takes it in. */
    default boolean removable() {
        return true;
    }

    /** Whether weights can hold what the adapter does, so that {@link #merge} succeeds over a dense base. */
    default boolean mergeable() {
        return true;
    }

    /**
     * Whether modules can be merged one after the other, each into a part of the model ({@link Adaptable#whole}) by a fresh
     * adapter from the same files: not where what a module gets depends on the others.
     */
    default boolean separable() {
        return false;
    }

    /** Tensors of the adapter's files for which the last {@link #attach} found no place; of a whole model there are none. */
    default Set<String> unread() {
        return Set.of();
    }

    /** Whether the codes of a quantised base can hold it too; {@link #merge} refuses those that cannot. */
    default boolean mergesIntoCodes() {
        return false;
    }

    /**
     * Folds everything into the base model's weights.
     *
     * @throws UnsupportedOperationException if no weight can hold it; nothing has changed then
     */
    void merge();

    /** Writes the adapter into a directory. */
    void save(Path directory);
}
