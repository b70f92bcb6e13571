// After the build: every text file is compressed once, for ever, and the sizes that matter are printed and bounded. What it
// prints it leaves in dist/sizes.txt at the very end: a build without that file has not passed.

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const FEED_AT_MOST = 6 * 1024; // bytes, gzipped
const PAGE_AT_MOST = 60 * 1024; // bytes of script, gzipped

const gzip = (data) => gzipSync(data, { level: 9 });
const brotli = (data) =>
  brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } });

const sizes = [];

function bound(name, data, most) {
  const [plain, gz, br] = [data.length, gzip(data).length, brotli(data).length];
  sizes.push(`${name.padEnd(34)} ${plain} bytes, gzip ${gz}, brotli ${br}${most ? ` (at most ${most} gzipped)` : ""}`);
  console.log(sizes.at(-1));
  if (most && gz > most) throw new Error(`${name} has ${gz} bytes gzipped, and may have ${most}: take something out of it`);
}

bound("feed/dist/feed.js", readFileSync("feed/dist/feed.js"), FEED_AT_MOST);
for (const name of readdirSync("dist", { recursive: true }).map(String)) {
  const path = `dist/${name}`;
  if (statSync(path).isDirectory() || !/\.(html|js|css|svg)$/.test(name)) continue;
  const data = readFileSync(path);
  bound(path, data, name.endsWith(".js") ? PAGE_AT_MOST : 0);
  writeFileSync(`${path}.gz`, gzip(data));
  writeFileSync(`${path}.br`, brotli(data));
}
writeFileSync("dist/sizes.txt", `${sizes.join("\n")}\n`);
