package io.graft;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Packages import leftward only: binding ← tensor ← ops ← {io, nn} ← adapter ← model ← train. */
class ArchitectureTest {
    private static final Map<String, List<String>> FORBIDDEN = Map.of(
            "binding", List.of("tensor", "ops", "io", "nn", "adapter", "model", "train"),
            "tensor", List.of("ops", "io", "nn", "adapter", "model", "train"),
            "ops", List.of("io", "nn", "adapter", "model", "train"),
            "io", List.of("nn", "adapter", "model", "train"),
            "nn", List.of("io", "adapter", "model", "train"),
            "adapter", List.of("model", "train"),
            "model", List.of("train"));

    private static JavaClasses classes;

    @BeforeAll
    static void importClasses() {
        classes = new ClassFileImporter()
                .withImportOption(new ImportOption.DoNotIncludeTests())
                .importPackages("io.graft");
    }

    static Iterable<String> packages() {
        return FORBIDDEN.keySet().stream().sorted().toList();
    }

    @ParameterizedTest
    @MethodSource("packages")
    void packageImportsLeftwardOnly(String name) {
        String[] right = FORBIDDEN.get(name).stream()
                .map(other -> "io.graft." + other + "..")
                .toArray(String[]::new);
        noClasses()
                .that()
                .resideInAPackage("io.graft." + name + "..")
                .should()
                .dependOnClassesThat(resideInAnyPackage(right))
                .check(classes);
    }

    @Test
    void modelsAndTrainingKnowNoPointers() {
        noClasses()
                .that()
                .resideInAnyPackage("io.graft.nn..", "io.graft.adapter..", "io.graft.model..", "io.graft.train..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("org.bytedeco..")
                .check(classes);
    }

    @Test
    void allClassesWereSeen() {
        assertThat(classes.stream().map(c -> c.getPackageName()).distinct())
                .contains("io.graft.binding", "io.graft.tensor", "io.graft.ops");
    }
}
