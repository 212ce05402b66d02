//! Bindings of the three worlds, generated from `wit/`. Types that worlds share are generated once.

pub mod selection {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "framegate:plugin/selection-policy",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::selection",
        export_macro_name: "export_selection",
    });
}

pub mod pricing {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "framegate:plugin/pricing-rule",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::pricing",
        export_macro_name: "export_pricing",
        with: {
            "framegate:common/types@0.1.0": crate::bindings::selection::framegate::common::types,
            "framegate:policy/scope@0.1.0": crate::bindings::selection::framegate::policy::scope,
            "framegate:policy/job-details@0.1.0":
                crate::bindings::selection::framegate::policy::job_details,
        },
    });
}

/// A pipeline with every grant: a component imports only the functions that its code calls, so what
/// is not used is not asked for.
pub mod pipeline {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package framegate:sdk;
            world pipeline {
                include framegate:media/pipeline@0.1.0;
                import framegate:host/kv@0.1.0;
                import framegate:host/data@0.1.0;
                import framegate:media/pixels@0.1.0;
                import framegate:media/audio@0.1.0;
            }
        ",
        world: "framegate:sdk/pipeline",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::pipeline",
        export_macro_name: "export_pipeline",
        with: {
            "framegate:common/types@0.1.0": crate::bindings::selection::framegate::common::types,
        },
    });
}

/// The optional export by which a session is carried over to a new version.
pub mod carry {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package framegate:sdk;
            world carry {
                export framegate:media/session-state@0.1.0;
            }
        ",
        world: "framegate:sdk/carry",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::carry",
        export_macro_name: "export_carry",
        with: {
            "framegate:common/types@0.1.0": crate::bindings::selection::framegate::common::types,
        },
    });
}

/// The optional export by which a pipeline is called for sound.
pub mod sound {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package framegate:sdk;
            world sound {
                export framegate:media/audio-handler@0.1.0;
            }
        ",
        world: "framegate:sdk/sound",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "framegate_sdk::bindings::sound",
        export_macro_name: "export_sound",
        with: {
            "framegate:common/types@0.1.0": crate::bindings::selection::framegate::common::types,
            "framegate:media/audio@0.1.0": crate::bindings::pipeline::framegate::media::audio,
            "framegate:media/catalogue@0.1.0": crate::bindings::pipeline::framegate::media::catalogue,
            "framegate:media/frames@0.1.0": crate::bindings::pipeline::framegate::media::frames,
            "framegate:media/readings@0.1.0": crate::bindings::pipeline::framegate::media::readings,
        },
    });
}
