package io.graft.train;

import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import java.nio.file.Path;

/** A process that trains and saves after each step until it is killed; prints the number of each saved step. */
final class KilledRun {
    private KilledRun() {}

    public static void main(String[] arguments) {
        Path file = Path.of(arguments[0]);
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model =
                        Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.training(TrainerTest.LORA.get()));
                Trainer trainer = new Trainer(model, TrainerTest.options(100_000), TrainerTest.source(3))) {
            trainer.onStep((step, loss, rate, norm, speed) -> {
                        trainer.save(file);
                        System.out.println(step);
                    })
                    .run();
        }
    }
}
