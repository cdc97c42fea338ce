"""NanoVLM's network and configuration: SigLIP 2, a projector of two layers, Qwen3; laid out as it was published."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def network() -> Any:
    """Return the model class, made on first use and known to transformers' auto classes from then on.

    Its weights are named ``vision_model.*``, ``multi_modal_projector.{0,2}.*`` and ``language_model.*``; its
    configuration has the type ``nanovlm``.
    """
    from torch import nn
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig
    from transformers.activations import ACT2FN
    from transformers.modeling_utils import PreTrainedModel

    class NanoVLMConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
        """Two configurations in one, and what joins them."""

        model_type = "nanovlm"
        sub_configs = {"vision_config": PreTrainedConfig, "text_config": PreTrainedConfig}  # noqa: RUF012
        has_no_defaults_at_init = True

        def __init__(
            self,
            vision_config: Any = None,
            text_config: Any = None,
            *,
            image_token_id: int | None = None,
            image_token_count: int = 256,
            projector_hidden_size: int | None = None,
            projector_num_layers: int = 2,
            projector_hidden_act: str = "gelu",
            vision_feature_dim: int | None = None,
            **more: Any,
        ) -> None:
            self.vision_config = _known(vision_config, "siglip2_vision_model")
            self.text_config = _known(text_config, "qwen3")
            self.image_token_id = image_token_id
            self.image_token_count = image_token_count
            self.projector_hidden_size = projector_hidden_size
            self.projector_num_layers = projector_num_layers
            self.projector_hidden_act = projector_hidden_act
            self.vision_feature_dim = vision_feature_dim or self.vision_config.hidden_size
            super().__init__(**more)

    def _known(config: Any, default_type: str) -> Any:
        if isinstance(config, PreTrainedConfig):
            return config
        settings = dict(config or {})
        make: Any = AutoConfig.for_model
        return make(settings.pop("model_type", default_type), **settings)

    class NanoVLMForConditionalGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
        """Image features take the place of image tokens in the language model's input."""

        config_class = NanoVLMConfig
        main_input_name = "input_ids"
        _supports_sdpa = True
        _supports_flash_attn = True

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            make_text: Any = AutoModelForCausalLM.from_config
            make_vision: Any = AutoModel.from_config
            self.language_model = make_text(config.text_config)
            self.vision_model = make_vision(config.vision_config)
            self.multi_modal_projector = self._projector(config)
            self.post_init()  # type: ignore[no-untyped-call]

        def _projector(self, config: Any) -> Any:
            wide = config.text_config.hidden_size
            if config.projector_num_layers <= 1:
                return nn.Linear(config.vision_feature_dim, wide)
            middle = config.projector_hidden_size or wide
            activation = ACT2FN[config.projector_hidden_act]
            return nn.Sequential(nn.Linear(config.vision_feature_dim, middle), activation, nn.Linear(middle, wide))

        def get_input_embeddings(self) -> Any:
            return self.language_model.get_input_embeddings()

        def get_output_embeddings(self) -> Any:
            return self.language_model.get_output_embeddings()

        def forward(
            self,
            input_ids: Any = None,
            attention_mask: Any = None,
            pixel_values: Any = None,
            pixel_attention_mask: Any = None,
            spatial_shapes: Any = None,
            **kwargs: Any,
        ) -> Any:
            """Run the language model over text and image features.

            Args:
                input_ids: int64 (num_rows, num_columns).
                attention_mask: (num_rows, num_columns_so_far).
                pixel_values: Patches (num_images, image_token_count, patch_values), in the order of image tokens.
                pixel_attention_mask: (num_images, image_token_count), 0 for patches that are padding.
                spatial_shapes: int64 (num_images, 2), rows and columns of patches.
                kwargs: For the language model.
            """
            embeddings = self.get_input_embeddings()(input_ids)
            is_image = input_ids == self.config.image_token_id
            if pixel_values is not None and is_image.any():  # later steps find images in the cache
                seen = self.vision_model(
                    pixel_values, pixel_attention_mask=pixel_attention_mask, spatial_shapes=spatial_shapes
                ).last_hidden_state
                features = self.multi_modal_projector(seen).flatten(0, 1).to(embeddings)
                if int(is_image.sum()) != len(features):
                    raise ValueError(f"{int(is_image.sum())} image tokens for {len(features)} image features")
                embeddings = embeddings.masked_scatter(is_image.unsqueeze(-1).expand_as(embeddings), features)
            return self.language_model(inputs_embeds=embeddings, attention_mask=attention_mask, **kwargs)

    register: Any = AutoConfig.register
    register("nanovlm", NanoVLMConfig)
    return NanoVLMForConditionalGeneration
