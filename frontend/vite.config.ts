import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => ({
  plugins: [svelte()],
  // Nothing is inlined into the HTML or as a data: address, so the page runs under a strict Content-Security-Policy.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8080", ws: true } } },
  // Svelte's runes are tried as a browser runs them.
  ...(mode === "test" && { resolve: { conditions: ["browser"] } }),
  test: {
    include: ["tests/**/*.test.ts", "feed/tests/**/*.test.ts"],
    testTransformMode: { web: ["tests/**"] },
    setupFiles: ["tests/setup.ts"],
  },
}));
