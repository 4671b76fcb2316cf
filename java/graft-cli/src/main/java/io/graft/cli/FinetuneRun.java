package io.graft.cli;

import io.graft.model.Batch;
import io.graft.tensor.Context;
import io.graft.train.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.BooleanSupplier;

/**
 * The loop of {@code graft finetune}: steps with their report, a checkpoint now and then, at the end the result; on
 * Ctrl-C a checkpoint and a word on where it is.
 */
final class FinetuneRun {
    /** The file in the output folder that a resume needs. */
    static final String CHECKPOINT = "training.safetensors";

    /** Something that writes files. */
    @FunctionalInterface
    interface Writing {
        void run() throws IOException;
    }

    private final Output out;
    private final OpenModel opened;
    private final Trainer trainer;
    private final Method method;
    private final Path folder;
    private final long total;
    private final long saveEvery;
    private final Context context;
    private float lastLoss = Float.NaN;

    FinetuneRun(Output out, OpenModel opened, Trainer trainer, Method method, Path folder, long total, long saveEvery) {
        this.out = out;
        this.opened = opened;
        this.trainer = trainer;
        this.method = method;
        this.folder = folder;
        this.total = total;
        this.saveEvery = saveEvery;
        this.context = opened.llama().context();
    }

    /** Trains; returns the exit status. {@code extras} writes what goes beside the result. */
    int execute(boolean resume, List<Batch> validation, Writing extras) throws IOException {
        if (resume) {
            resume();
        }
        evaluate(validation, "before", Interruption::requested);
        long started = System.nanoTime();
        long first = trainer.steps();
        train();
        double seconds = (System.nanoTime() - started) * 1e-9;
        checkpoint();
        trainer.unkept().forEach(reason -> out.note("called op by op, without a graph: %s", reason));
        if (trainer.steps() < total) {
            Path file = folder.resolve(CHECKPOINT);
            out.note("interrupted at step %d of %d; saved %s, --resume continues", trainer.steps(), total, file);
            out.event("interrupted", "step", trainer.steps(), "steps", total, "checkpoint", file.toString());
            return Interruption.STATUS;
        }
        evaluate(validation, "after", () -> false);
        method.save(opened.llama(), folder);
        extras.run();
        long done = trainer.steps() - first;
        String made = done == 0
                ? "no steps were left"
                : String.format(Locale.ROOT, "%d steps in %s, last loss %.4f", done, Units.duration(seconds), lastLoss);
        out.say("%s: %s, peak memory %s; saved in %s", method.name(), made, Units.bytes(context.peakMemory()), folder);
        out.event(
                "done",
                "steps",
                trainer.steps(),
                "steps_now",
                done,
                "seconds",
                seconds,
                "loss",
                lastLoss,
                "peak_memory_bytes",
                context.peakMemory(),
                "peak_resident_bytes",
                Machine.peakResidentMemory(),
                "out",
                folder.toString());
        return 0;
    }

    private void resume() {
        Path file = folder.resolve(CHECKPOINT);
        if (!Files.exists(file)) {
            throw new InputException("--resume: there is no checkpoint " + file);
        }
        trainer.resume(file);
        out.note("resumed at step %d of %d from %s", trainer.steps(), total, file);
        out.event("resumed", "step", trainer.steps(), "steps", total, "checkpoint", file.toString());
    }

    private void train() throws IOException {
        try (Progress progress = new Progress(out, method.name(), total)) {
            trainer.onStep((step, loss, rate, norm, speed) -> {
                lastLoss = loss;
                progress.update(step, loss, speed, context.memory());
                out.event(
                        "step",
                        "step",
                        step,
                        "loss",
                        loss,
                        "lr",
                        rate,
                        "gradient_norm",
                        norm,
                        "tokens_per_second",
                        speed,
                        "memory_bytes",
                        context.memory());
            });
            while (trainer.steps() < total && !Interruption.requested()) {
                float loss = trainer.step();
                if (!Float.isFinite(loss)) {
                    String kept = Files.exists(folder.resolve(CHECKPOINT))
                            ? "the last checkpoint is untouched"
                            : "there is no checkpoint yet";
                    throw new InputException("the loss of step " + trainer.steps() + " is " + loss + "; " + kept
                            + ". A smaller --lr or --clip may help");
                }
                if (saveEvery > 0 && trainer.steps() % saveEvery == 0 && trainer.steps() < total) {
                    checkpoint();
                }
            }
        }
    }

    private void checkpoint() {
        Path file = folder.resolve(CHECKPOINT);
        trainer.save(file);
        out.event("checkpoint", "step", trainer.steps(), "file", file.toString());
    }

    private void evaluate(List<Batch> validation, String when, BooleanSupplier stop) {
        if (validation.isEmpty()) {
            return;
        }
        Evaluation result = Evaluation.of(out, opened.llama(), validation, stop);
        if (result == null) {
            return;
        }
        out.say("validation loss %s: %.4f (perplexity %.2f)", when, result.loss(), result.perplexity());
        out.event(
                "eval",
                "when",
                when,
                "step",
                trainer.steps(),
                "loss",
                result.loss(),
                "perplexity",
                result.perplexity(),
                "tokens_per_second",
                result.tokensPerSecond());
    }
}
