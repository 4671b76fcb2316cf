package io.graft.cli;

import picocli.CommandLine.Option;

/** Settings of the methods with several experts for each layer and a router between them. */
final class MixtureOptions {
    @Option(
            names = "--experts",
            paramLabel = "N",
            description = "Mixtures: how many experts each layer has (default: ${DEFAULT-VALUE}).")
    int experts = 4;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            description = "Mixtures: how many experts serve a token (default: all; mixlora: 2).")
    Integer topK;

    @Option(
            names = "--balance",
            paramLabel = "X",
            description = "Mixtures: weight of the loss that keeps experts in equal use (default: 0; mixlora: 0.01).")
    Double balance;
}
