package io.graft.io;

import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Map;

/** Python's {@code strftime} in the C locale, for the directives that templates date their prompts with. */
final class Strftime {
    private static final Map<Character, String> PATTERNS = Map.ofEntries(
            Map.entry('a', "EEE"),
            Map.entry('A', "EEEE"),
            Map.entry('b', "MMM"),
            Map.entry('B', "MMMM"),
            Map.entry('d', "dd"),
            Map.entry('H', "HH"),
            Map.entry('I', "hh"),
            Map.entry('j', "DDD"),
            Map.entry('m', "MM"),
            Map.entry('M', "mm"),
            Map.entry('p', "a"),
            Map.entry('S', "ss"),
            Map.entry('y', "yy"),
            Map.entry('Y', "yyyy"),
            Map.entry('F', "yyyy-MM-dd"),
            Map.entry('T', "HH:mm:ss"));

    private Strftime() {}

    static String format(LocalDateTime time, String format) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                out.append(c);
                continue;
            }
            i++;
            boolean bare = format.charAt(i) == '-' && i + 1 < format.length();
            char directive = format.charAt(bare ? ++i : i);
            String pattern = PATTERNS.get(directive);
            if (directive == '%') {
                out.append('%');
            } else if (pattern == null) {
                throw new IllegalArgumentException("strftime_now: %" + directive + " is not supported");
            } else {
                String text = time.format(DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH));
                out.append(bare ? text.replaceFirst("^0+(?=.)", "") : text);
            }
        }
        return out.toString();
    }
}
