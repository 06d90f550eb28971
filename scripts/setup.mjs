// `npm run setup`: whatever is missing for building, starting and testing. A step that has nothing
// to do says nothing. Runs on plain Node 20 without node_modules.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";

import { findNode, linkNode } from "./node22.mjs";
import { ask, atLeast, giveUp, root, run, seconds, step, Wanted } from "./steps.mjs";

const TARGET = "wasm32-unknown-unknown";

/** Everything that `npm start` needs. */
export async function setup() {
  const started = Date.now();
  const did = [await rust(), await packages(), await newNode(), await bindgen()];
  if (did.includes(true)) console.log(`✓ set-up done (${seconds(started)})`);
}

async function rust() {
  const manifest = readFileSync(join(root, "Cargo.toml"), "utf8");
  const [, needed] = /^rust-version = "([\d.]+)"/m.exec(manifest) ?? [undefined, "1.85"];
  const rustc = ask("rustc", ["--version"])?.split(" ")[1];
  if (rustc === undefined || ask("cargo", ["--version"]) === undefined) {
    throw new Wanted("Rust is missing: install it with rustup from https://rustup.rs (it brings cargo), open a new shell, and run this again.");
  }
  if (!atLeast(rustc, needed)) throw new Wanted(`Rust ${needed} or newer is needed, this is ${rustc}: run \`rustup update stable\`.`);

  const sysroot = ask("rustc", ["--print", "sysroot"]) ?? "";
  if (existsSync(join(sysroot, "lib", "rustlib", TARGET, "lib"))) return false;
  if (ask("rustup", ["--version"]) === undefined) {
    throw new Wanted(`Rust is here but not its ${TARGET} target, and rustup, which adds it, is missing: install Rust with rustup from https://rustup.rs.`);
  }
  await step(`Rust target ${TARGET}`, () => run("rustup", ["target", "add", TARGET]));
  return true;
}

/** `npm ci`, unless node_modules is what package-lock.json asks for. */
async function packages() {
  const lock = join(root, "package-lock.json");
  const stamp = join(root, "node_modules", ".tokenkeep-lock");
  const installed = join(root, "node_modules", ".package-lock.json");
  const digest = createHash("sha256").update(readFileSync(lock)).digest("hex");
  const fresh = existsSync(stamp)
    ? readFileSync(stamp, "utf8") === digest
    : existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs;
  if (fresh && existsSync(installed)) return false;

  // npm must not run on the very Node that it is about to replace.
  const path = (process.env.PATH ?? "").split(delimiter).filter((entry) => !entry.includes("node_modules")).join(delimiter);
  await step("npm packages (npm ci)", () =>
    run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { env: { ...process.env, PATH: path } }),
  );
  writeFileSync(stamp, digest);
  return true;
}

async function newNode() {
  if (findNode() !== undefined) return false;
  await step("a Node that is new enough for wrangler", linkNode);
  return true;
}

/** The command must be of the very version of the crate: their formats go together. */
async function bindgen() {
  const [, version] = /^wasm-bindgen = "=([\d.]+)"/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8")) ?? [];
  if (version === undefined) throw new Error("Cargo.toml pins no wasm-bindgen");
  const tools = join(root, ".tools");
  if (ask(join(tools, "bin", "wasm-bindgen"), ["--version"])?.endsWith(` ${version}`)) return false;

  const target = join(tools, "target");
  await step(`wasm-bindgen ${version} (compiled once, about 2 minutes)`, () =>
    run("cargo", ["install", "wasm-bindgen-cli", "--bin", "wasm-bindgen", "--version", version, "--locked", "--force", "--root", tools, "--target-dir", target], {
      env: {
        ...process.env,
        // It runs for a second: time to compile counts, not its speed.
        CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
        CARGO_PROFILE_RELEASE_LTO: "off",
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
      },
    }),
  );
  rmSync(target, { recursive: true, force: true });
  return true;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await setup().catch(giveUp);
