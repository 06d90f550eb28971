// Builds the Worker in release form: build/tokenkeep.js and build/tokenkeep.wasm.
//
//   cargo (wasm32, release) → wasm-bindgen (glue for the entry) → esbuild (one module)

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "build");
const staging = join(root, "target", "tokenkeep-build");

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ended with ${result.status}`);
}

export async function build() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  run("cargo", ["build", "--release", "--target", "wasm32-unknown-unknown", "--lib", "--locked"]);
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(join(staging, "core"), { recursive: true });
  const local = join(root, ".tools", "bin", "wasm-bindgen");
  run(existsSync(local) ? local : "wasm-bindgen", [
    "--target", "web", "--no-typescript", "--experimental-reset-state-function",
    "--remove-name-section", "--remove-producers-section",
    "--out-dir", join(staging, "core"), "--out-name", "tokenkeep",
    join(target, "wasm32-unknown-unknown", "release", "tokenkeep.wasm"),
  ]);
  const edge = join(root, "src", "edge");
  for (const file of readdirSync(edge).filter((name) => name.endsWith(".mjs"))) copyFileSync(join(edge, file), join(staging, file));
  renameSync(join(staging, "core", "tokenkeep_bg.wasm"), join(staging, "tokenkeep.wasm"));
  const esbuild = await import("esbuild");
  await esbuild.build({
    entryPoints: [join(staging, "entry.mjs")],
    outfile: join(staging, "tokenkeep.js"),
    bundle: true,
    format: "esm",
    target: "es2024",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    logLevel: "warning",
    external: ["cloudflare:workers"],
    // wasm-bindgen's own loader looks for the file beside itself by URL; the entry hands the module
    // over instead.
    define: { "import.meta.url": '""' },
    plugins: [{
      name: "wasm-beside",
      setup(context) {
        context.onResolve({ filter: /\.wasm$/ }, () => ({ path: "./tokenkeep.wasm", external: true }));
      },
    }],
  });
  mkdirSync(out, { recursive: true });
  for (const file of ["tokenkeep.wasm", "tokenkeep.js"]) renameSync(join(staging, file), join(out, file));
  const sizes = ["tokenkeep.js", "tokenkeep.wasm"].map((file) => {
    const raw = statSync(join(out, file)).size;
    const zipped = gzipSync(readFileSync(join(out, file))).length;
    return { file, raw, zipped };
  });
  for (const { file, raw, zipped } of sizes) {
    console.log(`  build/${file}: ${(raw / 1024).toFixed(0)} KB, ${(zipped / 1024).toFixed(0)} KB gzip`);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await build();
