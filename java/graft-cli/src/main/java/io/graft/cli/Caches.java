package io.graft.cli;

import java.nio.file.Path;

/** The folder for what can be fetched or made again: {@code $GRAFT_CACHE}, else {@code graft} in the user's cache. */
public final class Caches {
    private Caches() {}

    public static Path folder(String part) {
        String named = System.getenv("GRAFT_CACHE");
        if (named != null && !named.isBlank()) {
            return Path.of(named, part);
        }
        String user = System.getenv("XDG_CACHE_HOME");
        Path caches =
                user != null && !user.isBlank() ? Path.of(user) : Path.of(System.getProperty("user.home"), ".cache");
        return caches.resolve("graft").resolve(part);
    }
}
