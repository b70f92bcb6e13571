/** What a browser has and Node lacks, as far as the page's logic asks for it. */

import { vi } from "vitest";

vi.stubGlobal("navigator", { languages: ["en"] });
