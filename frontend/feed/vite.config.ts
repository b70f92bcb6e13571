import { defineConfig } from "vite";

// The package by itself: one module that runs in any page.
export default defineConfig({
  root: "feed",
  logLevel: "warn",
  build: { target: "es2022", lib: { entry: "src/index.ts", formats: ["es"], fileName: "feed" } },
});
