package io.graft.io;

import java.io.IOException;
import java.io.OutputStream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Zip files by hand: names and bytes in turn. */
final class TorchZip {
    private TorchZip() {}

    static void write(OutputStream out, int method, Object... entries) throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(out)) {
            for (int i = 0; i < entries.length; i += 2) {
                byte[] bytes = (byte[]) entries[i + 1];
                ZipEntry entry = new ZipEntry((String) entries[i]);
                entry.setMethod(method);
                if (method == ZipEntry.STORED) {
                    CRC32 sum = new CRC32();
                    sum.update(bytes);
                    entry.setCrc(sum.getValue());
                    entry.setSize(bytes.length);
                }
                zip.putNextEntry(entry);
                zip.write(bytes);
                zip.closeEntry();
            }
        }
    }
}
